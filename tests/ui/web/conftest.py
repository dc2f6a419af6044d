"""A dashboard to ask over HTTP, and one in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
from playwright.async_api import Browser, async_playwright
from starlette.types import ASGIApp

from streamq import App
from streamq.ui.http.serving import HTTPServer
from streamq.ui.web import dashboard
from tests.servers import RedisServer, binaries
from tests.ui.web.visitor import Visitor

Visit = Callable[..., Visitor]
Serve = Callable[[ASGIApp], AbstractAsyncContextManager[str]]


@pytest.fixture
async def visit(app: App) -> AsyncIterator[Visit]:
    """Visit a dashboard of the app, with options of one's own: ``visit(read_only=True)``."""
    clients: list[httpx.AsyncClient] = []

    def visit(of: App = app, **options: Any) -> Visitor:
        transport = httpx.ASGITransport(dashboard(of, **options), raise_app_exceptions=False)
        clients.append(httpx.AsyncClient(transport=transport, base_url="http://localhost"))
        return Visitor(clients[-1])

    yield visit
    for client in clients:
        await client.aclose()


@pytest.fixture
def visitor(visit: Visit) -> Visitor:
    """A visitor of a dashboard that was made without options."""
    return visit()


@pytest.fixture(scope="session")
def one_server_kind() -> Iterator[RedisServer]:
    """A server of one kind: what a browser shows is the same on all of them."""
    server = RedisServer(next(iter(binaries().values()))).start()
    yield server
    server.stop()


@pytest.fixture
def one_server(one_server_kind: RedisServer) -> RedisServer:
    """That server, without any data."""
    with one_server_kind.client() as client:
        client.flushall()
    return one_server_kind


@pytest.fixture
def serve() -> Serve:
    """Serve an ASGI app on a free port: ``async with serve(app) as url``."""

    @asynccontextmanager
    async def serve(app: ASGIApp) -> AsyncIterator[str]:
        server = HTTPServer(app, "127.0.0.1", 0)
        async with anyio.create_task_group() as background:
            background.start_soon(server.run)
            try:
                yield server.url
            finally:
                server.stop()

    return serve


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A real browser: Debian's Chromium."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium on the PATH (Debian: apt install chromium)")
    async with async_playwright() as driver:
        found = await driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield found
        await found.close()
