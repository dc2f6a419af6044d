"""Reading what the server holds in bounded steps, however much of it there is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

import orjson

from streamq import lua
from streamq.errors import GroupNotFound, InvalidEntry, ServerRefused, StreamNotFound
from streamq.server import Arg, Server
from streamq.server.packing import pack
from streamq.text import printable
from streamq.wire.entry import after, decode, decode_data
from streamq.wire.keys import check_stream

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
) -> AsyncIterator[list[Entry]]:
    """The entries of a stream between two IDs, page by page.

    Args:
        cut: bytes of each value at the most, -1 for all.
        newest_first: begin at ``end``.
    """
    position, last = (end, start) if newest_first else (start, end)
    while position:
        call = lua.page(key, position, last, PAGE, cut=cut, newest_first=newest_first)
        rows, following = await server.run(call)
        if rows:
            yield [Entry(id.decode(), fields) for id, fields in rows]
        position = following.decode()


async def pending_pages(
    server: Server, stream: str, group: str, consumer: str | None = None
) -> AsyncIterator[list[PendingRow]]:
    """The pending entries list of a group, or of one consumer, oldest first."""
    start: str | None = "-"
    only = () if consumer is None else (consumer,)
    while start is not None:
        rows = await server.call("XPENDING", stream, group, start, "+", PENDING_PAGE, *only)
        if rows:
            yield [PendingRow(text(id), text(name), idle, count) for id, name, idle, count in rows]
        if len(rows) < PENDING_PAGE:
            return
        start = after(text(rows[-1][0]))


async def group_names(server: Server, stream: str) -> list[str]:
    """The groups of a stream.

    Raises:
        StreamNotFound: there is no such stream.
        WrongKeyType: the key holds something else.
    """
    try:
        rows = await server.call("XINFO", "GROUPS", check_stream(stream))
    except ServerRefused as error:
        if "no such key" in str(error):
            raise stream_not_found(stream) from None
        raise
    return [text(named(row)[b"name"]) for row in rows]


async def require_group(server: Server, stream: str, group: str) -> None:
    """Make sure that there is such a group.

    Raises:
        StreamNotFound: there is no such stream.
        GroupNotFound: the stream has no such group.
    """
    names = await group_names(server, stream)
    if group not in names:
        raise group_not_found(stream, group, names)


def stream_not_found(stream: str) -> StreamNotFound:
    """The error for a stream that does not exist."""
    return StreamNotFound(
        f"there is no stream {printable(stream, 100)}: nothing was written to it yet"
    )


def group_not_found(stream: str, group: str, names: Sequence[str]) -> GroupNotFound:
    """The error for a group that does not exist, with those that do."""
    known = ", ".join(printable(name, 100) for name in sorted(names)[:10])
    its = f"its groups are {known}" if len(names) > 1 else f"its only group is {known}"
    return GroupNotFound(
        f"the stream {printable(stream, 100)} has no group {printable(group, 100)}: "
        + (its if names else "it has no groups at all")
    )


def named(flat: Sequence[Any]) -> dict[bytes, Any]:
    """A flat reply of names and values as a dict."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def text(raw: bytes) -> str:
    """What the server calls something, as text; bytes that are not UTF-8 are escaped."""
    return raw.decode("utf-8", "backslashreplace")


class Content(NamedTuple):
    """What is in an entry. ``raw`` is JSON as a rule; ``None`` for an entry without fields."""

    type: str
    raw: bytes | None
    only_for: str | None
    origin: str | None


def content(fields: Sequence[bytes]) -> Content:
    """What is in an entry, as far as it can be told, whatever its fields hold."""
    if not fields:
        return Content("", None, None, None)
    values = dict(zip(fields[::2], fields[1::2], strict=False))
    try:
        type, raw, data, own = decode(fields)
    except InvalidEntry:
        type = text(values.pop(b"type", b""))
        shown = {text(name): text(value) for name, value in values.items()}
        return Content(type, values.get(b"data") or orjson.dumps(shown), None, None)
    if raw is None:
        return Content(type, orjson.dumps(data), None, None)
    meta = {name: text(value) for name, value in (own or {}).items()}
    return Content(type, raw, meta.get(b"for"), meta.get(b"origin"))


def plain_data(raw: bytes | None) -> dict[str, Any]:
    """Raw data for a dict: decoded under ``data``; what is no JSON as text under ``raw``."""
    if raw is None:
        return {"data": None}
    try:
        return {"data": decode_data(raw)}
    except InvalidEntry:
        return {"data": None, "raw": text(raw)}


def count_of(raw: bytes) -> int | None:
    """A small number out of a status record, which anybody may have written."""
    return int(raw) if raw.isdigit() and len(raw) < 10 else None
