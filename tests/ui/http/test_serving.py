"""The server itself: where it listens, and how it ends."""

from __future__ import annotations

import socket

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from streamq.errors import ConfigError
from streamq.ui.http.serving import HTTPServer, stopping

pytestmark = pytest.mark.anyio


async def wait_for_the_end(request: Request) -> PlainTextResponse:
    request.app.state.begun.set()
    await stopping(request.scope).wait()
    return PlainTextResponse("stopped")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
async def test_it_answers_and_what_waits_hears_of_the_end(host: str) -> None:
    app = Starlette(routes=[Route("/", wait_for_the_end)])
    app.state.begun = anyio.Event()
    server = HTTPServer(app, host, 0)
    answers = []

    async def ask() -> None:
        async with httpx.AsyncClient() as client:
            answers.append((await client.get(server.url)).text)

    async with anyio.create_task_group() as background:
        background.start_soon(server.run)
        background.start_soon(ask)
        await app.state.begun.wait()
        server.stop()
    assert answers == ["stopped"]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((host, server.port))


async def test_under_another_server_it_is_never_told_to_stop() -> None:
    assert not stopping({"type": "http"}).is_set()


async def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"another program listens on 127\.0\.0\.1:{port}"):
            HTTPServer(Starlette(), "127.0.0.1", port)


async def test_an_address_that_is_not_ours() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on 203\.0\.113\.1:0"):
        HTTPServer(Starlette(), "203.0.113.1", 0)
