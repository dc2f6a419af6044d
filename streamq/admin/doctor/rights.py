"""What the user lacks of all that a worker does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from streamq import lua
from streamq.admin.doctor.findings import Finding, Level
from streamq.admin.reading import text
from streamq.errors import AuthenticationFailed, ConfigError, ServerRefused, StreamqError
from streamq.limits import DEFAULT_STREAM
from streamq.server import Server
from streamq.server.replies import KeyNotPermitted
from streamq.text import printable
from streamq.wire.keys import group_keys, stream_keys

NAME = "rights"

MOST = 20
"""Streams for which the rights are looked at; as a rule, one pattern is for many."""

WRITES = ("xclaim", "xack", "xdel")
"""What nobody lacks who is to change anything in a stream."""

ADVICE = "if workers log in as this user, give it the worker's line of docs/security.md"


async def check_rights(server: Server, groups: Mapping[str, str]) -> list[Finding]:
    """The streams on which a worker of this user would refuse to start.

    Args:
        groups: a group for each stream.
    """
    if not groups:
        lacks = await _lacks(server, DEFAULT_STREAM, "workers")
        if lacks:  # which may be as it should be: the stream to come has another name
            return [lacks._replace(level=Level.NOTE).finding(DEFAULT_STREAM)]
    lacking = []
    for stream, group in list(groups.items())[:MOST]:
        lacks = await _lacks(server, stream, group)
        if lacks:
            lacking.append(lacks.finding(stream))
    return lacking or [Finding(Level.OK, NAME, "the user may do all that a worker does")]


class _Lacks(NamedTuple):
    """What the user lacks, for a person, and how bad that is."""

    what: str
    level: Level = Level.WARNING

    def finding(self, stream: str) -> Finding:
        found = f"a worker could not start: the user {self.what}"
        return Finding(self.level, NAME, found, ADVICE, stream)


_ONLY_LOOKS = _Lacks("may look and not write", Level.NOTE)  # as whoever only looks should


async def _only_looks(server: Server, stream: str, group: str) -> bool:
    try:
        await server.call("XLEN", stream)
    except StreamqError:
        return False
    try:
        await server.call("XACK", stream, group, "0-0")  # which no entry can have
    except AuthenticationFailed:
        return True
    return False


async def _lacks(server: Server, stream: str, group: str) -> _Lacks | None:
    """``None`` if nothing."""
    try:
        keys = group_keys(stream, group)
    except ConfigError:
        return None  # another program's group, with a name that streamq does not use
    try:
        missing = await server.run(lua.rights(keys, stream_keys(stream)))
    except KeyNotPermitted:
        if await _only_looks(server, stream, group):
            return _ONLY_LOOKS
        prefix = stream_keys(stream).prefix
        return _Lacks(f"may not access all its keys ({stream} and {prefix}:*)")
    except (AuthenticationFailed, ServerRefused) as error:
        return _Lacks(f"may not ask: {printable(error, 300)}")
    if not missing:
        return None
    names = [text(one) for one in missing]
    if {f"{write} {stream}" for write in WRITES} <= set(names):
        return _ONLY_LOOKS
    some = ", ".join(printable(name, 100) for name in names[:5])
    return _Lacks(f"lacks {some}" + (f", and {len(names) - 5:,} more" if len(names) > 5 else ""))
