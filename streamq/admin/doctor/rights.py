"""What the user lacks of all that a worker does."""

from __future__ import annotations

from collections.abc import Mapping

from streamq import lua
from streamq.admin.doctor.findings import Finding, Level
from streamq.admin.reading import text
from streamq.errors import AuthenticationFailed, ConfigError, ServerRefused
from streamq.limits import DEFAULT_STREAM
from streamq.server import Server
from streamq.server.replies import KeyNotPermitted
from streamq.text import printable
from streamq.wire.keys import group_keys, stream_keys

NAME = "rights"

MOST = 20
"""Streams for which the rights are looked at; as a rule, one pattern is for many."""

ADVICE = "if workers log in as this user, give it the worker's line of docs/security.md"


async def check_rights(server: Server, groups: Mapping[str, str]) -> list[Finding]:
    """The streams on which a worker of this user would refuse to start.

    Args:
        groups: a group for each stream.
    """
    if not groups:
        missing = await _missing(server, DEFAULT_STREAM, "workers")
        if missing:  # which may be as it should be: the stream to come has another name
            return [_finding(Level.NOTE, missing, DEFAULT_STREAM)]
    lacking = []
    for stream, group in list(groups.items())[:MOST]:
        missing = await _missing(server, stream, group)
        if missing:
            lacking.append(_finding(Level.WARNING, missing, stream))
    return lacking or [Finding(Level.OK, NAME, "the user may do all that a worker does")]


async def _missing(server: Server, stream: str, group: str) -> str:
    """What the user lacks, for a person; empty if nothing."""
    try:
        keys = group_keys(stream, group)
    except ConfigError:
        return ""  # another program's group, with a name that streamq does not use
    try:
        missing = await server.run(lua.rights(keys, stream_keys(stream)))
    except KeyNotPermitted:
        return f"may not access all its keys ({stream} and {stream_keys(stream).prefix}:*)"
    except (AuthenticationFailed, ServerRefused) as error:
        return f"may not ask: {printable(error, 300)}"
    if not missing:
        return ""
    some = ", ".join(printable(text(one), 100) for one in missing[:5])
    return f"lacks {some}" + (f", and {len(missing) - 5:,} more" if len(missing) > 5 else "")


def _finding(level: Level, missing: str, stream: str) -> Finding:
    return Finding(level, NAME, f"a worker could not start: the user {missing}", ADVICE, stream)
