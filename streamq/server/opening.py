"""Opening a connection: the transport, TLS, and the handshake; what keeps it from being made."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal

from streamq.errors import ServerRefused, ServerUnavailable, StreamqError
from streamq.server.address import Address
from streamq.server.packing import pack
from streamq.server.protocol import Connection, NotRESP
from streamq.server.tls import tls_failure, was_closed
from streamq.version import __version__

Connect = Callable[[str | None], Awaitable[Connection]]
"""Opens a connection, to which ``CLIENT LIST`` gives this name."""

Kind = Literal["server", "primary", "node", "sentinel"]
"""What is to answer: a server by itself, one that is to be a primary, a node of a Cluster, or a
Sentinel."""

CONNECT_TIMEOUT = 5.0
"""Seconds until a connection must be open, with all that belongs to it."""

# Seconds of silence until TCP looks for its peer, between two looks, and how many are in vain.
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPALIVE": 30, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}

# A RuntimeError is uvloop's for a connection that broke while it was being opened; a
# ValueError that of a host name or a path that no system call takes.
_FAILED = (OSError, EOFError, RuntimeError, ValueError)


async def open_connection(
    address: Address, name: str | None = None, *, kind: Kind = "server"
) -> Connection:
    """Connect, authenticate, choose the database and give the connection its name.

    Args:
        name: what ``CLIENT LIST`` shows; ``None`` leaves that to the URL.
        kind: what is to answer.

    Raises:
        ServerUnavailable: no answer, or the server takes no connections now.
        AuthenticationFailed: the server does not accept the credentials.
        TLSFailed: the connection cannot be made secure.
        ServerRefused: the server takes the connection but not the database or the name, or is
            of another kind.
    """
    loop = asyncio.get_running_loop()
    protocol = partial(Connection, address)
    connection: Connection | None = None
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            if address.path is not None:
                _, connection = await loop.create_unix_connection(protocol, address.path)
            else:
                transport, connection = await loop.create_connection(
                    protocol, address.host, address.port, ssl=address.tls
                )
                _set_options(transport.get_extra_info("socket"), keepalive=address.keepalive)
            about = await _shake_hands(address, connection, name or address.client_name)
            _check_kind(about, kind, address)
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, _FAILED):
            raise _unreachable(error, address) from None
        raise
    return connection


def _set_options(peer: socket.socket, *, keepalive: bool) -> None:
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if keepalive:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE.items():  # of which no system has all
            if hasattr(socket, option):
                peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


async def _shake_hands(
    address: Address, connection: Connection, name: str | None
) -> dict[bytes, Any]:
    """Introduce oneself; what the server says of itself, if it does."""
    needed = []
    if address.username:
        needed.append(pack(("AUTH", address.username, address.password or b"")))
    elif address.password:
        needed.append(pack(("AUTH", address.password)))
    if address.database:
        needed.append(pack(("SELECT", address.database)))
    if name:
        needed.append(pack(("CLIENT", "SETNAME", name)))
    told = [  # which a server need not understand
        pack(("HELLO", 2)),
        pack(("CLIENT", "SETINFO", "LIB-NAME", "streamq")),
        pack(("CLIENT", "SETINFO", "LIB-VER", __version__)),
    ]
    connection.send(b"".join((*needed, *told)))
    refused: StreamqError | None = None
    about: dict[bytes, Any] = {}
    for number in range(len(needed) + len(told)):
        try:
            [reply] = await connection.read(1, CONNECT_TIMEOUT)
        except (OSError, EOFError):
            # A server that takes no clients says so once, and closes the connection.
            if refused is None:
                raise
            raise refused from None
        if isinstance(reply, StreamqError):
            refused = refused or reply
            if number < len(needed):
                raise refused
        elif number == len(needed) and isinstance(reply, list):
            about = dict(zip(reply[::2], reply[1::2], strict=False))
    return about


def _check_kind(about: dict[bytes, Any], kind: Kind, address: Address) -> None:
    """Make sure that it is what it is taken for, as far as it tells."""
    mode, where = about.get(b"mode"), address.shown
    if kind == "sentinel":
        if mode not in (b"sentinel", None):
            raise ServerRefused(
                f"what answers at {where} is a server, not a Sentinel: write redis:// in the URL, "
                "or the addresses of the Sentinels"
            )
    elif mode == b"sentinel":
        raise ServerRefused(
            f"what answers at {where} is a Sentinel: write "
            "redis+sentinel://HOST:PORT,HOST:PORT/NAME in the URL, with the name of its primary"
        )
    elif mode == b"cluster" and kind != "node":
        raise ServerRefused(
            f"the server at {where} is a node of a Cluster: "
            "write redis+cluster:// in the URL, or App(cluster=True)"
        )
    elif kind == "primary" and about.get(b"role", b"master") != b"master":
        raise ServerUnavailable(f"the server at {where} is a replica: a failover may be under way")


def _unreachable(error: Exception, address: Address) -> StreamqError:
    if address.tls is not None and (failure := tls_failure(error, address.shown)):
        return failure
    what, hint = "cannot connect to {}", "check the address and that the server is running"
    if isinstance(error, TimeoutError):
        what = f"no answer from {{}} within {CONNECT_TIMEOUT:g} s"
        hint += ", and that it speaks TLS" if address.tls else ""
    elif isinstance(error, NotRESP):
        hint = "what answers there is not a Redis or Valkey server; check the address" + (
            "" if address.tls else ", and if it speaks TLS, write rediss:// in the URL"
        )
    elif was_closed(error) and address.path is None:
        hint = "it took the connection and closed it; " + (
            "if it asks for a client certificate, name it with ssl_certfile and ssl_keyfile"
            if address.tls
            else "if it speaks TLS, write rediss:// in the URL"
        )
    return ServerUnavailable(f"{what.format(address.shown)}: {hint}")
