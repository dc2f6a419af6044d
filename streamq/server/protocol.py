"""An open connection: an asyncio protocol that speaks RESP, commands out and replies in."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, cast

import hiredis

from streamq.server.address import Address
from streamq.server.replies import error_reply

_INCOMPLETE = object()


class NotRESP(ConnectionError):
    """What came in is not the protocol of Redis."""


class Connection(asyncio.Protocol):
    """A connection with one reader at a time.

    Args:
        address: whom it leads to.
    """

    _transport: asyncio.Transport

    def __init__(self, address: Address) -> None:
        self.address = address
        self._parser = hiredis.Reader(
            protocolError=NotRESP,
            replyError=partial(error_reply, where=address.shown),
            notEnoughData=_INCOMPLETE,
        )
        self._replies: list[Any] = []
        self._wanted = 0
        # Takes errors as results: a reader that was cancelled will not ask for them.
        self._waiter: asyncio.Future[Exception | None] | None = None
        self._broken: Exception | None = None
        self.received = 0
        """Bytes that have come in, ever."""

    @property
    def usable(self) -> bool:
        """Whether it is open, as far as this side knows, and nothing unasked has come in."""
        asked = not self._replies and not self._parser.has_data()
        return asked and self._broken is None and not self._transport.is_closing()

    def send(self, packed: bytes) -> None:
        """Send packed commands. If the connection is broken, the next read says so."""
        try:
            self._transport.write(packed)
        except RuntimeError:
            pass  # uvloop's word for a connection that broke a moment before

    async def read(self, count: int, timeout: float) -> list[Any]:
        """Read the next ``count`` replies; an error reply is returned as an exception.

        Args:
            timeout: seconds until the last of them must be in.

        Raises:
            TimeoutError: they did not come in time.
            OSError, EOFError: the connection broke.
        """
        if len(self._replies) < count:
            if self._broken is not None:
                raise self._broken
            loop = asyncio.get_running_loop()
            self._wanted, self._waiter = count, loop.create_future()
            timer = loop.call_later(timeout, self._wake, TimeoutError())
            try:
                error = await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
            if error is not None:
                raise error
        replies, self._replies = self._replies[:count], self._replies[count:]
        return replies

    async def read_some(self, timeout: float) -> list[Any]:
        """Read whatever has come in, and wait for it if nothing has; all else as for :meth:`read`.

        Args:
            timeout: seconds until the first of it must be in.
        """
        first = await self.read(1, timeout)
        rest, self._replies = self._replies, []
        return first + rest

    def close(self) -> None:
        """Close it at once, whatever state it is in.

        TLS would say goodbye and wait for the other side to do the same: an event loop
        that ends before that leaves the connection open, or fails itself.
        """
        self._transport.abort()

    # -- called by the transport ----------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to write to."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse what has come in, and wake the reader when that was all."""
        gets, replies = self._parser.gets, self._replies
        self.received += len(data)
        try:
            self._parser.feed(data)
            while (reply := gets()) is not _INCOMPLETE:
                replies.append(reply)
        except NotRESP as error:
            self._break(error)
        else:
            if len(replies) >= self._wanted:
                self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the reader, now or when it comes."""
        self._break(error or EOFError("the server has closed the connection"))

    def _break(self, error: Exception) -> None:
        if self._broken is None:
            self._broken = error
        self._wake(error)

    def _wake(self, error: Exception | None = None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(error)
