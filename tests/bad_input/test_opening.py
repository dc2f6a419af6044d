"""Opening a connection: what the URL says reaches the server, and what it may answer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from streamq.errors import (
    AuthenticationFailed,
    ConfigError,
    ServerRefused,
    ServerUnavailable,
    StreamqError,
)
from streamq.process.eventloop import run_async
from streamq.server import Server
from streamq.server.address import Address
from tests.servers import RedisServer
from tests.worker.support import together

pytestmark = pytest.mark.anyio


async def ask(url: str, *command: str, name: str | None = None) -> object:
    """The reply to one command on a connection of its own."""
    link = Server(url).link(name)
    try:
        return await link.call(*command)
    finally:
        await link.close()


@asynccontextmanager
async def answering(pieces: Sequence[bytes]) -> AsyncIterator[str]:
    """A server that reads what is sent first, answers in these pieces, and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer: socket.socket = writer.get_extra_info("socket")
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await reader.read(65536)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        writer.write_eof()
        try:
            await reader.read()
        except ConnectionError:
            pass  # the client has closed it with something unread
        writer.close()
        served.set()

    served = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await together(served)


# -- what the URL says --------------------------------------------------------


@pytest.mark.parametrize("in_query", [False, True])
async def test_credentials_are_percent_decoded(
    make_server: Callable[..., RedisServer], in_query: bool
) -> None:
    server = make_server()
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "ü:1", "on", ">p@s/s:#?% 1", "+@all")
    user, password = "%C3%BC%3A1", "p%40s%2Fs%3A%23%3F%25%201"
    url = f"redis://{user}:{password}@127.0.0.1:{server.port}"
    if in_query:
        url = f"{server.url}?username={user}&password={password}"
    assert await ask(url, "ACL", "WHOAMI") == "ü:1".encode()
    assert "1" not in Address(url.replace(str(server.port), "80").replace("127.0.0.1", "h")).shown


@pytest.mark.parametrize(("path", "database"), [("/3", 3), ("?db=4", 4), ("/3?db=4", 4), ("", 0)])
async def test_the_database(server: RedisServer, path: str, database: int) -> None:
    info = await ask(server.url + path, "CLIENT", "INFO")
    assert f" db={database} ".encode() in bytes(info)  # type: ignore[call-overload]  # a bulk string


async def test_the_database_of_a_socket(server: RedisServer) -> None:
    info = await ask(f"{server.unix_url}?db=5", "CLIENT", "INFO")
    assert isinstance(info, bytes)
    assert b" db=5 " in info


async def test_the_name_and_the_library_are_shown(server: RedisServer) -> None:
    info = await ask(f"{server.url}?client_name=mine", "CLIENT", "INFO", name="worker-1")
    assert isinstance(info, bytes)
    assert b" name=worker-1 " in info
    assert b" lib-name=streamq " in info
    info = await ask(f"{server.url}?client_name=mine", "CLIENT", "INFO")
    assert isinstance(info, bytes)
    assert b" name=mine " in info


@pytest.mark.parametrize(
    ("url", "host", "port", "shown"),
    [
        ("redis://[::1]:7000/2", "::1", 7000, "[::1]:7000"),
        ("rediss://[2001:db8::1]", "2001:db8::1", 6379, "[2001:db8::1]:6379"),
        ("redis://user:pw@h:1", "h", 1, "h:1"),
        ("redis://", "localhost", 6379, "localhost:6379"),
    ],
)
async def test_hosts(url: str, host: str, port: int, shown: str) -> None:
    address = Address(url)
    assert (address.host, address.port, address.shown) == (host, port, shown)


async def test_ipv6(make_server: Callable[..., RedisServer]) -> None:
    server = make_server("--bind", "127.0.0.1", "-::1")
    with socket.socket(socket.AF_INET6) as probe:
        if probe.connect_ex(("::1", server.port)):
            pytest.skip("this machine has no IPv6")
    assert await ask(f"redis://[::1]:{server.port}", "PING") == b"PONG"


@pytest.mark.parametrize(
    "url",
    [
        "redis://h?db=-1", "redis://h?db=x", "unix://", "unix://host/path", "redis://h/0#1",
        "unix:///path?db=x", "redis://h?host=other", "redis://h?socket_keepalive=perhaps",
    ],
)  # fmt: skip
async def test_what_a_url_cannot_say(url: str) -> None:
    with pytest.raises(ConfigError):
        Address(url)


def test_uvloop(server: RedisServer) -> None:
    async def main() -> object:
        return await ask(f"{server.url}/1", "PING")

    assert run_async(main) == b"PONG"


# -- what the server may answer -----------------------------------------------

OK = b"+OK\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        [
            b"+", b"O", b"K\r\n+OK", b"\r\n-ERR no HELLO\r\n", b"+OK\r\n-ERR no",
            b" SETINFO\r\n", b":7\r\n",
        ]
    ],
)  # fmt: skip
async def test_a_handshake_answered_in_pieces(pieces: list[bytes]) -> None:
    async with answering(pieces[:-1]) as where:
        link = Server(f"redis://:pw@{where}").link("me")
        await link.open()
        await link.close()


@pytest.mark.parametrize(
    ("reply", "kind", "message"),
    [
        (b"-WRONGPASS invalid username-password pair\r\n", AuthenticationFailed, "not accept the"),
        (b"-NOAUTH Authentication required.\r\n", AuthenticationFailed, "not accept the"),
        (b"-ERR invalid password\r\n", AuthenticationFailed, "not accept the user name"),
        (
            b"-ERR AUTH <password> called without any password configured for the default user. "
            b"Are you sure your configuration is correct?\r\n",
            AuthenticationFailed,
            "not accept the user name",
        ),
        (b"-ERR max number of clients reached\r\n", ServerUnavailable, "too many clients"),
        (b"-LOADING Redis is loading\r\n", ServerUnavailable, "is still loading its data"),
        (b"-MASTERDOWN Link down\r\n", ServerUnavailable, "has lost its primary"),
        (
            b"-DENIED Redis is running in protected mode because protected mode is enabled\r\n",
            ServerRefused,
            "is in protected mode",
        ),
        (OK + b"-ERR DB index is out of range\r\n", ServerRefused, "has no database"),
        (
            OK + b"-NOPERM User u has no permissions to run the 'select' command\r\n",
            AuthenticationFailed,
            r"may not run select; add \+select to its ACL",
        ),
        (OK + OK + b"-ERR Client names cannot contain spaces\r\n", ServerRefused, "cannot contain"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", ServerUnavailable, "not a Redis or Valkey server"),
        (b"\x15\x03\x01\x00\x02\x02\x16", ServerUnavailable, "write rediss:// in the URL"),
        (b"", ServerUnavailable, "it took the connection and closed it"),
        (OK, ServerUnavailable, "it took the connection and closed it"),
    ],
)
async def test_a_handshake_that_fails(reply: bytes, kind: type[StreamqError], message: str) -> None:
    async with answering([reply]) as where:
        with pytest.raises(kind, match=message) as caught:
            await Server(f"redis://u:s3cret@{where}/9").link("me").open()
        assert type(caught.value) is kind
        assert where in str(caught.value)
        assert "s3cret" not in str(caught.value)
        assert str(caught.value).isprintable()


async def test_a_server_without_room_says_so_to_a_client_without_a_name() -> None:
    async with answering([b"-ERR max number of clients reached\r\n"]) as where:
        with pytest.raises(ServerUnavailable, match="too many clients"):
            await Server(f"redis://{where}").link().open()
