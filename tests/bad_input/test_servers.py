"""Wrong servers: too old, locked, away, or none at all. A message each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from streamq import App
from streamq.errors import (
    AuthenticationFailed,
    ConfigError,
    ServerUnavailable,
    ServerUnsupported,
    StreamqError,
)
from streamq.server import Server
from streamq.server.version import read_info
from tests.lua.support import ids_of
from tests.servers import RedisServer, free_port
from tests.worker.support import (
    together,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("brisk")]


@asynccontextmanager
async def fake_server(info: str) -> AsyncIterator[str]:
    """Something that speaks the protocol and says of itself what a test wants."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2].upper())
            if words[0] == b"INFO":
                body = info.encode()
                writer.write(b"$%d\r\n%s\r\n" % (len(body), body))
            elif words[0] == b"TIME":
                writer.write(b"*2\r\n$1\r\n0\r\n$1\r\n0\r\n")
            else:
                writer.write(b"+OK\r\n")
        writer.close()
        served.set()

    served = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await together(served)


@pytest.mark.parametrize(
    ("info", "name"),
    [
        ("redis_version:6.2.14", "Redis 6.2.14"),
        ("redis_version:5.0.0", "Redis 5.0.0"),
        ("redis_version:7.2.4\r\nvalkey_version:7.1.0", "Valkey 7.1.0"),
        ("", "Redis 0"),
        ("redis_version:garbage", "Redis garbage"),
    ],
)
async def test_a_server_that_is_too_old(info: str, name: str) -> None:
    async with fake_server(info) as url, App(url) as app:
        app.handler("t")(lambda: None)
        with pytest.raises(
            ServerUnsupported, match=f"is {name}: streamq needs Redis 7.0"
        ) as caught:
            await app.worker().run()
        assert not caught.value.passing


@pytest.mark.parametrize(
    ("info", "name", "version"),
    [
        ("redis_version:7.0.0", "redis", "7.0.0"),
        ("redis_version:10.0.1", "redis", "10.0.1"),
        ("redis_version:7.2.4\r\nvalkey_version:7.2.5", "valkey", "7.2.5"),
        ("redis_version:7.2.4\r\nvalkey_version:9.1.0-rc1", "valkey", "9.1.0-rc1"),
    ],
)
async def test_a_server_that_is_new_enough(info: str, name: str, version: str) -> None:
    async with fake_server(info) as url:
        link = Server(url).link()
        found = await read_info(link, "here")
        await link.close()
    assert (found.name, found.version, found.warnings) == (name, version, [])


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_a_server_that_may_evict_jobs(
    make_server: Callable[..., RedisServer], policy: str
) -> None:
    async with App(make_server("--maxmemory-policy", policy).url) as app:
        [warning] = (await app.server.info()).warnings
    assert policy in warning
    assert "noeviction" in warning


async def test_a_server_that_keeps_its_jobs(app: App) -> None:
    assert (await app.server.info()).warnings == []


@pytest.mark.parametrize("credentials", [":wrong@", "nobody:wrong@", ""])
async def test_a_wrong_password(
    make_server: Callable[..., RedisServer], credentials: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = make_server("--requirepass", "secret")
    async with App(server.url.replace("//", f"//{credentials}")) as app:
        app.handler("t")(lambda: None)
        calls: list[Callable[[], Any]] = [lambda: app.produce("t"), lambda: app.worker().run()]
        for call in calls:
            with pytest.raises(AuthenticationFailed, match=r"does not (accept|permit)") as caught:
                await call()
            assert "wrong" not in str(caught.value)
            assert "\n" not in str(caught.value)
    assert "secret" not in caplog.text


async def test_the_right_password(make_server: Callable[..., RedisServer]) -> None:
    server = make_server("--requirepass", "p@ss/word")
    async with App(server.url.replace("//", "//:p%40ss%2Fword@")) as app:
        await app.produce("t")
        assert "p@ss" not in app.server.where


async def test_nobody_listens_there() -> None:
    port = free_port()
    async with App(f"redis://user:secret@127.0.0.1:{port}") as app:
        app.handler("t")(lambda: None)
        calls: list[Callable[[], Any]] = [lambda: app.produce("t"), lambda: app.worker().run()]
        for call in calls:
            with pytest.raises(ServerUnavailable, match=f"connect to 127.0.0.1:{port}: check"):
                await call()


async def test_a_socket_that_is_not_there() -> None:
    async with App("unix:///nowhere/at/all.sock") as app:
        with pytest.raises(ServerUnavailable, match=r"connect to /nowhere/at/all.sock: check"):
            await app.produce("t")


async def test_a_host_that_does_not_exist() -> None:
    async with App("redis://nowhere.invalid") as app:
        with pytest.raises(ServerUnavailable, match=r"nowhere.invalid:6379"):
            await app.produce("t")


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost", "localhost:6379", "redis://localhost:port", "redis://:pw@[::1",
        "redis://localhost/zero", "redis://localhost/-1", "redis://localhost/0/1",
        "redis://localhost?nonsense=1", "redis://localhost:99999",
        "rediss://localhost?ssl_cert_reqs=perhaps",
    ],
)  # fmt: skip
async def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _ = App(url).server
    assert str(caught.value).isprintable()
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("host", ["\x00", "a..b", "x" * 70, "h\x1bst"])
async def test_what_is_no_host(host: str) -> None:
    async with App(f"redis://{host}") as app:
        with pytest.raises(ServerUnavailable, match="cannot connect") as caught:
            await app.produce("t")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("path", ["", "/", "/0", "/15"])
async def test_what_follows_the_host_is_a_database(server: RedisServer, path: str) -> None:
    async with App(server.url + path) as app:
        id = (await app.produce("t")).id
    with server.client(db=int(path[1:] or 0)) as client:
        assert ids_of(client) == [id]


async def test_something_else_listens_there() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, App(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}") as app:
        with pytest.raises(StreamqError) as caught:
            await app.produce("t")
    assert str(caught.value).isprintable()
