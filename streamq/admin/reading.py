"""Reading what the server holds in bounded steps, however much of it there is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

from streamq import lua
from streamq.server import Arg, Server
from streamq.server.packing import pack
from streamq.wire.entry import after

PAGE = 100
"""Entries read at once. With large ones, the script ends a page earlier by itself."""

PENDING_PAGE = 1000
"""Rows of a pending entries list read at once."""


class Entry(NamedTuple):
    """One stream entry; the fields are a flat list."""

    id: str
    fields: list[bytes]


class PendingRow(NamedTuple):
    """One row of a pending entries list; ``idle`` is in ms."""

    id: str
    consumer: str
    idle: int
    deliveries: int


async def ask(server: Server, *commands: Sequence[Arg], atomic: bool = False) -> list[Any]:
    """Send several commands at once and return their replies in order.

    Args:
        atomic: nothing else happens in the server between them.

    Returns:
        One reply for each. An error reply is returned in its place, as an exception.
    """
    if not commands:
        return []
    packed = [pack(tuple(command)) for command in commands]
    async with server.borrowed() as link:
        if not atomic:
            return list(await link.exchange(b"".join(packed), len(packed)))
        packed = [pack(("MULTI",)), *packed, pack(("EXEC",))]
        *_, replies = await link.exchange(b"".join(packed), len(packed))
    if isinstance(replies, Exception):
        raise replies
    return list(replies)


async def pages(
    server: Server,
    key: str,
    start: str = "-",
    end: str = "+",
    *,
    cut: int = -1,
    newest_first: bool = False,
    size: int = PAGE,
) -> AsyncIterator[list[Entry]]:
    """The entries of a stream between two IDs, page by page.

    Args:
        cut: bytes of each value that are read, -1 for all.
        newest_first: begin at ``end``.
        size: entries of a page.
    """
    position, last = (end, start) if newest_first else (start, end)
    while position:
        call = lua.page(key, position, last, size, cut=cut, newest_first=newest_first)
        rows, following = await server.run(call)
        if rows:
            yield [Entry(id.decode(), fields) for id, fields in rows]
        position = following.decode()


async def pending_pages(
    server: Server,
    stream: str,
    group: str,
    consumer: str | None = None,
    *,
    beyond: str | None = None,
) -> AsyncIterator[list[PendingRow]]:
    """The pending entries list of a group, or of one consumer, oldest first.

    Args:
        beyond: only entries after this ID.
    """
    start = "-" if beyond is None else after(beyond)
    only = () if consumer is None else (consumer,)
    while start is not None:
        rows = await server.call("XPENDING", stream, group, start, "+", PENDING_PAGE, *only)
        if rows:
            yield [PendingRow(text(id), text(name), idle, count) for id, name, idle, count in rows]
        if len(rows) < PENDING_PAGE:
            return
        start = after(text(rows[-1][0]))


def named(flat: Sequence[Any]) -> dict[bytes, Any]:
    """A flat reply of names and values as a dict."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def text(raw: bytes) -> str:
    """What the server calls something, as text; bytes that are not UTF-8 are escaped."""
    return raw.decode("utf-8", "backslashreplace")


def count_of(raw: bytes) -> int | None:
    """A small number in a status record, which may be anything if written by hand."""
    return int(raw) if raw.isdigit() and len(raw) < 10 else None
