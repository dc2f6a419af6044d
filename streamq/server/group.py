"""Making a consumer group."""

from __future__ import annotations

import re

from streamq.errors import ConfigError, ServerRefused
from streamq.server.link import Link
from streamq.text import printable

_START = re.compile(r"\$|[0-9]{1,20}(-[0-9]{1,20})?")


def check_start(start: str) -> str:
    """Return ``start`` if a group can start there, else raise :class:`ConfigError`."""
    numbers = re.findall("[0-9]+", start)
    if not _START.fullmatch(start) or any(int(number) >= 2**64 for number in numbers):
        raise ConfigError(
            f"{printable(start, 60)!r} is not a valid start: give 0, $ or an entry ID"
        )
    return start


async def create_group(link: Link, stream: str, group: str, start: str = "0") -> bool:
    """Create ``group``, and the stream where there is none; ``XGROUP CREATE … MKSTREAM``.

    Args:
        start: the group gets the entries after this ID; ``0`` for all, ``$`` for those
            still to come.

    Returns:
        Whether it was created; ``False`` when it existed.
    """
    try:
        await link.call("XGROUP", "CREATE", stream, group, start, "MKSTREAM")
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
