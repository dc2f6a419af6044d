"""Making a consumer group."""

from __future__ import annotations

import re
from datetime import datetime

from streamq.errors import ConfigError, ServerRefused
from streamq.server.link import Link
from streamq.text import printable

_START = re.compile(r"\$|[0-9]{1,20}(-[0-9]{1,20})?")


def check_start(start: str | datetime) -> str:
    """Where a group starts, as the server takes it: ``0``, ``$`` or the ID that it comes after.

    Args:
        start: one of these, or a time: an aware datetime, or a text as 2026-11-01T00:00Z.

    Raises:
        ConfigError: it is none of them.
    """
    if isinstance(start, datetime):
        return _before(start, repr(start))
    try:
        if not _START.fullmatch(start):
            return _before(datetime.fromisoformat(start), repr(start))
    except ValueError:
        pass
    numbers = re.findall("[0-9]+", start)
    if not _START.fullmatch(start) or any(int(number) >= 2**64 for number in numbers):
        raise ConfigError(
            f"{printable(start, 60)!r} is not a valid start: give 0, $, an entry ID, or a time "
            "as 2026-11-01T00:00Z"
        )
    return start


def _before(time: datetime, said: str) -> str:
    """The largest ID that an entry can have before that time."""
    if time.tzinfo is None:
        raise ConfigError(f"{said} has no time zone: add Z or +01:00")
    ms = int(time.timestamp() * 1000)
    return f"{ms - 1}-{2**64 - 1}" if ms > 0 else "0"


async def create_group(
    link: Link, stream: str, group: str, start: str = "0", entries_read: int = -1
) -> bool:
    """Create ``group``, and the stream where there is none; ``XGROUP CREATE … MKSTREAM``.

    Args:
        start: the group gets the entries after this ID; ``0`` for all, ``$`` for those
            still to come; or a time, see :func:`check_start`.
        entries_read: how many entries the stream ever had up to there, so that the server
            knows the group's lag; -1 for unknown.

    Returns:
        Whether it was created; ``False`` when it existed.
    """
    known = ("ENTRIESREAD", entries_read) if entries_read >= 0 else ()
    try:
        await link.call("XGROUP", "CREATE", stream, group, check_start(start), "MKSTREAM", *known)
    except ServerRefused as error:
        # A server without memory to spare refuses even to say that the group exists.
        if "BUSYGROUP" in str(error) or (error.passing and await _exists(link, stream, group)):
            return False
        raise
    return True


async def _exists(link: Link, stream: str, group: str) -> bool:
    try:
        groups = await link.call("XINFO", "GROUPS", stream)
    except ServerRefused:
        return False
    return group.encode() in (flat[1] for flat in groups)
