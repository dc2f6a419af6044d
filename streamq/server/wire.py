"""The bytes of an open connection: commands out, replies in.

redis-py opens it, with TLS and authentication. From then on its layers, made for a
command and a reply at a time, would cost more than the server takes for the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import hiredis
from redis.asyncio.connection import AbstractConnection

CHUNK = 256 * 1024
"""Bytes read at once at the most."""

_PENDING = object()


class Wire:
    """An open connection.

    Args:
        connection: redis-py's, just connected.
        error: makes an exception of an error reply's text.
    """

    def __init__(self, connection: AbstractConnection, error: Callable[[str], Exception]) -> None:
        reader, writer = connection._reader, connection._writer
        assert reader is not None
        assert writer is not None
        self._connection = connection
        self._reader: asyncio.StreamReader = reader
        self._writer: asyncio.StreamWriter = writer
        self._parser = hiredis.Reader(
            protocolError=ConnectionError, replyError=error, notEnoughData=_PENDING
        )

    @property
    def usable(self) -> bool:
        """Whether it is open, as far as this side knows, and nothing unasked has come in."""
        return not (
            self._writer.is_closing() or self._reader.at_eof() or self._reader._buffer  # type: ignore[attr-defined]  # asyncio tells in no other way
        )

    def send(self, packed: bytes) -> None:
        """Send packed commands. If the connection is broken, the next read says so."""
        try:
            self._writer.write(packed)
        except RuntimeError:
            pass  # uvloop's word for a connection that broke a moment before

    async def read(self, count: int) -> list[Any]:
        """Read the next ``count`` replies; an error reply is returned as an exception.

        Raises:
            OSError, EOFError: the connection broke.
        """
        gets, feed = self._parser.gets, self._parser.feed
        replies: list[Any] = []
        while True:
            reply = gets()
            while reply is not _PENDING:
                replies.append(reply)
                if len(replies) == count:
                    return replies
                reply = gets()
            chunk = await self._reader.read(CHUNK)
            if not chunk:
                raise EOFError("the server has closed the connection")
            feed(chunk)

    async def close(self) -> None:
        """Close it, whatever state it is in."""
        await self._connection.disconnect(nowait=True)
