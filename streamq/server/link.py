"""One connection to the server: commands out, raw replies in, errors in streamq's words."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from functools import partial
from typing import Any

import redis.exceptions as redis_errors
from redis.asyncio.connection import AbstractConnection, UnixDomainSocketConnection

from streamq.errors import (
    OutcomeUnknown,
    ServerError,
    ServerUnavailable,
    StreamqError,
    WrongKeyType,
)
from streamq.lua import Call
from streamq.server.packing import Arg, pack
from streamq.server.replies import (
    KeyNotPermitted,
    NoScript,
    error_reply,
    refused_connection,
    wrong_key_type,
)
from streamq.server.tls import SecureConnection, tls_failure, was_closed
from streamq.server.wire import Wire
from streamq.text import printable

CONNECT_TIMEOUT = 5.0
REPLY_TIMEOUT = 30.0
"""Seconds without a reply after which a connection counts as broken."""

# A RuntimeError is uvloop's for a connection that broke while it was being opened.
_BROKEN = (redis_errors.RedisError, OSError, EOFError, RuntimeError)


class Link:
    """One connection, opened at its first use and again after it broke.

    Calls from several tasks take turns. A call that is cancelled or fails on the
    wire closes the connection, so that no reply can reach the wrong caller.

    Args:
        connect: makes a connection, not yet opened.
        where: the server's address, as it may be shown.
        timeout: seconds without a reply after which the connection counts as broken.
    """

    def __init__(
        self,
        connect: Callable[[], AbstractConnection],
        where: str,
        timeout: float = REPLY_TIMEOUT,
    ) -> None:
        self.timeout = timeout
        self._connect = connect
        self._wire: Wire | None = None
        self._turn = asyncio.Lock()
        self._where = where

    async def open(self) -> None:
        """Connect now, if not connected.

        Raises:
            ServerUnavailable: nobody answers there.
            AuthenticationFailed: the server does not accept the credentials.
            TLSFailed: the connection cannot be made secure.
        """
        async with self._turn:
            await self._ready()

    async def call(self, *args: Arg, block: float = 0.0) -> Any:
        """Send one command and return its reply: bytes, int, list or ``None``.

        Args:
            block: seconds for which the command lets the server wait.

        Raises:
            ServerUnavailable: the connection could not be opened.
            OutcomeUnknown: it broke after the command was sent.
            StreamqError: what the server's error reply means.
        """
        return await self.send(pack(args), block=block)

    async def send(self, packed: bytes, *, block: float = 0.0) -> Any:
        """Send one packed command and return its reply; all else as for :meth:`call`."""
        [reply] = await self.exchange(packed, 1, block=block)
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def run(self, script: Call) -> Any:
        """Run a script by its digest, or by its text where the server does not know it."""
        replies = await self.exchange(pack(script.evalsha()), 1)
        if isinstance(replies[0], NoScript):
            # In one step: between loading and running, somebody could flush it again.
            replies = await self.exchange(pack(script.eval()), 1)
        if isinstance(replies[0], WrongKeyType):
            # The server does not say which of the keys it is.
            kinds = await self.exchange(
                b"".join(pack(("TYPE", key)) for key in script.keys), len(script.keys)
            )
            raise wrong_key_type(script.keys, kinds) or replies[0]
        reply = replies[0]
        if isinstance(reply, KeyNotPermitted):
            raise KeyNotPermitted(reply.where, ", ".join(map(printable, script.keys)))
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def exchange(self, packed: bytes, count: int, *, block: float = 0.0) -> Sequence[Any]:
        """Send packed commands at once and return their ``count`` replies.

        An error reply is returned in its place, as a :class:`StreamqError`.

        Raises:
            ServerUnavailable: the connection could not be opened.
            OutcomeUnknown: it broke after the commands were sent.
        """
        async with self._turn:
            wire = self._wire
            if wire is None or not wire.usable:  # most often it is: one coroutine less a call
                wire = await self._ready()
            return _named(await self._read(wire, count, send=packed, block=block), packed)

    async def pipeline(
        self, commands: AsyncIterable[tuple[bytes, int]]
    ) -> AsyncGenerator[Sequence[Any], None]:
        """Send several lots of packed commands, each before the replies to the last are in.

        Args:
            commands: packed commands, and how many they are.

        Yields:
            The replies to each lot; errors as for :meth:`exchange`.
        """
        async with self._turn:
            wire = await self._ready()
            waiting: deque[int] = deque()
            try:
                async for packed, count in commands:
                    if waiting:
                        yield _named(await self._read(wire, waiting[0], send=packed), packed)
                        waiting.popleft()
                    else:
                        wire.send(packed)
                    waiting.append(count)
                if waiting:
                    yield _named(await self._read(wire, waiting[0]), packed)
                    waiting.popleft()
            finally:
                if waiting:
                    await self._drop()  # its replies must reach nobody else

    async def close(self) -> None:
        """Close the connection; a later call opens it again."""
        await self._drop()

    async def _ready(self) -> Wire:
        if self._wire is not None:
            if self._wire.usable:
                return self._wire
            await self._drop()
        connection = self._connect()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await connection.connect()  # type: ignore[no-untyped-call]  # redis-py's
        except _BROKEN as error:
            await connection.disconnect(nowait=True)
            raise self._unreachable(error, connection) from None
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._wire = Wire(connection, partial(error_reply, where=self._where))
        return self._wire

    async def _read(
        self, wire: Wire, count: int, *, send: bytes = b"", block: float = 0.0
    ) -> Sequence[Any]:
        timeout = self.timeout + block
        try:
            if send:
                wire.send(send)
            replies = await wire.read(count, timeout)
        except _BROKEN as error:
            await self._drop()
            what = f"no reply within {timeout:g} s" if _timed_out(error) else "connection lost"
            raise OutcomeUnknown(
                f"{what} from {self._where}: whether the server has carried out "
                "the command is not known"
            ) from error
        except BaseException:
            await self._drop()
            raise
        for reply in replies:
            if isinstance(reply, ServerError) and reply.passing:
                # After a failover the address may lead to another server by now.
                await self._drop()
                break
        return replies

    async def _drop(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()

    def _unreachable(self, error: Exception, connection: AbstractConnection) -> StreamqError:
        said = refused_connection(error, self._where)
        said = said or tls_failure(error, connection, self._where)
        if said is not None:
            return said
        secure = isinstance(connection, SecureConnection)
        what, hint = "cannot connect to {}", "check the address and that the server is running"
        if _timed_out(error):
            what = f"no answer from {{}} within {CONNECT_TIMEOUT:g} s"
            hint += ", and that it speaks TLS" if secure else ""
        elif was_closed(error) and not isinstance(connection, UnixDomainSocketConnection):
            hint = "it took the connection and closed it; " + (
                "if it asks for a client certificate, name it with ssl_certfile and ssl_keyfile"
                if secure
                else "if it speaks TLS, write rediss:// in the URL"
            )
        return ServerUnavailable(f"{what.format(self._where)}: {hint}")


def _named(replies: Sequence[Any], packed: bytes) -> Sequence[Any]:
    """The replies to packed commands that are much alike; an error says what was asked for."""
    if isinstance(replies[0], KeyNotPermitted):
        words = packed[:1000].split(b"\r\n")[2:7:2]
        return [KeyNotPermitted(replies[0].where, b" ".join(words)), *replies[1:]]
    return replies


def _timed_out(error: BaseException) -> bool:
    return isinstance(error, TimeoutError | redis_errors.TimeoutError)
