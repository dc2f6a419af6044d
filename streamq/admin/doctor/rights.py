"""What the user lacks of all that a worker does."""

from __future__ import annotations

from collections.abc import Sequence

from streamq import lua
from streamq.admin.doctor.findings import Finding, Level
from streamq.admin.reading import text
from streamq.errors import AuthenticationFailed, ConfigError, ServerRefused
from streamq.limits import DEFAULT_STREAM
from streamq.server import Server
from streamq.text import printable
from streamq.wire.keys import group_keys, stream_keys

NAME = "rights"

MOST = 20
"""Streams for which the rights are looked at; as a rule, one pattern is for many."""

ADVICE = "if workers log in as this user, give it the worker's line of docs/security.md"


async def check_rights(server: Server, groups: Sequence[tuple[str, str]]) -> list[Finding]:
    """The streams on which a worker of this user would refuse to start.

    Args:
        groups: one group of each stream.
    """
    asked = list(groups[:MOST]) or [(DEFAULT_STREAM, "workers")]
    lacking = [found for pair in asked if (found := await _lacking(server, *pair))]
    if lacking:
        return lacking
    return [Finding(Level.OK, NAME, "the user may do all that a worker does")]


async def _lacking(server: Server, stream: str, group: str) -> Finding | None:
    try:
        keys = group_keys(stream, group)
    except ConfigError:
        return None  # another program's group, with a name that streamq does not use
    try:
        missing = await server.run(lua.rights(keys, stream_keys(stream)))
    except (AuthenticationFailed, ServerRefused) as error:
        return Finding(
            Level.WARNING,
            NAME,
            f"a worker could not start: {printable(error, 300)}",
            ADVICE,
            stream,
        )
    if not missing:
        return None
    some = ", ".join(printable(text(one), 100) for one in missing[:5])
    more = f", and {len(missing) - 5:,} more" if len(missing) > 5 else ""
    return Finding(
        Level.WARNING,
        NAME,
        f"a worker could not start, the user lacks {some}{more}",
        ADVICE,
        stream,
    )
