"""One connection to the server: commands out, raw replies in, errors in streamq's words."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from streamq.errors import OutcomeUnknown, ServerError, StreamqError, WrongKeyType
from streamq.server.address import Address
from streamq.server.info import parse_info
from streamq.server.opening import Connect
from streamq.server.packing import Arg, pack
from streamq.server.protocol import Connection
from streamq.server.replies import (
    KeyNotPermitted,
    NoScript,
    OutOfMemory,
    Unstable,
    out_of_memory,
    wrong_key_type,
)
from streamq.text import printable

if TYPE_CHECKING:
    from streamq.lua import Call

REPLY_TIMEOUT = 30.0
"""Seconds without a reply after which a connection counts as broken."""

_BROKEN = (OSError, EOFError)


class Link:
    """One connection, opened at its first use and again after it broke.

    Calls from several tasks take turns. A call that is cancelled or fails on the
    wire closes the connection, so that no reply can reach the wrong caller.

    Args:
        connect: opens a connection to the server.
        name: what ``CLIENT LIST`` shows.
        timeout: seconds without a reply after which the connection counts as broken.
    """

    def __init__(
        self, connect: Connect, name: str | None = None, timeout: float = REPLY_TIMEOUT
    ) -> None:
        self.timeout = timeout
        self.received = 0
        """Bytes of the replies that came last."""
        self.timings: list[tuple[str, float]] | None = None
        """Where to note each script's name, and the seconds until its reply was in."""
        self._connect = connect
        self._name = name
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether there is a connection that can be used, as far as this side knows."""
        return self._connection is not None and self._connection.usable

    async def open(self) -> None:
        """Connect now, if not connected.

        Raises:
            ServerUnavailable: there is no answer.
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
        sent = 0.0 if self.timings is None else monotonic()
        replies = await self.exchange(pack(script.evalsha()), 1)
        if isinstance(replies[0], NoScript):
            # In one step: between loading and running, the server could lose it again.
            replies = await self.exchange(pack(script.eval()), 1)
        if self.timings is not None:
            self.timings.append((script.script.name, monotonic() - sent))
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
            connection = self._connection
            if connection is None or not connection.usable:  # mostly it is: one coroutine less
                connection = await self._ready()
            return _named(await self._read(connection, count, send=packed, block=block), packed)

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
            connection = await self._ready()
            waiting: deque[int] = deque()
            try:
                async for packed, count in commands:
                    if waiting:
                        yield _named(await self._read(connection, waiting[0], send=packed), packed)
                        waiting.popleft()
                    else:
                        connection.send(packed)
                    waiting.append(count)
                if waiting:
                    yield _named(await self._read(connection, waiting[0]), packed)
                    waiting.popleft()
            finally:
                if waiting:
                    self._drop()  # its replies must reach no other caller

    async def close(self) -> None:
        """Close the connection; a later call opens it again."""
        self._drop()

    async def _ready(self) -> Connection:
        if self._connection is not None:
            if self._connection.usable:
                return self._connection
            self._drop()
        self._connection = await self._connect(self._name)
        return self._connection

    async def _read(
        self, connection: Connection, count: int, *, send: bytes = b"", block: float = 0.0
    ) -> Sequence[Any]:
        timeout = self.timeout + block
        before = connection.received
        try:
            if send:
                connection.send(send)
            replies = await connection.read(count, timeout)
            self.received = connection.received - before
        except _BROKEN as error:
            self._drop()
            late = isinstance(error, TimeoutError)
            what = f"no reply within {timeout:g} s" if late else "connection lost"
            raise OutcomeUnknown(
                f"{what} from {connection.address.shown}: whether the server has carried out "
                "the command is not known"
            ) from error
        except BaseException:
            self._drop()
            raise
        for reply in replies:
            if isinstance(reply, ServerError) and reply.passing and not isinstance(reply, Unstable):
                # After a failover the address may lead to another server by now.
                self._drop()
                if isinstance(reply, OutOfMemory):
                    return await self._explained(replies, connection.address)
                break
        return replies

    async def _explained(self, replies: Sequence[Any], address: Address) -> Sequence[Any]:
        """The replies, in which a server without memory has not said what its limit is."""
        limit = None
        try:
            [reply] = await self._read(await self._ready(), 1, send=pack(("INFO", "memory")))
            if isinstance(reply, bytes):
                limit = parse_info(reply).get("maxmemory")
        except StreamqError:
            pass  # then it stays unsaid
        error = out_of_memory(address, int(limit or 0))
        return [error if isinstance(reply, OutOfMemory) else reply for reply in replies]

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _named(replies: Sequence[Any], packed: bytes) -> Sequence[Any]:
    """The replies to packed commands that are much alike; an error says what was asked for."""
    if isinstance(replies[0], KeyNotPermitted):
        words = packed[:1000].split(b"\r\n")[2:7:2]
        return [KeyNotPermitted(replies[0].where, b" ".join(words)), *replies[1:]]
    return replies
