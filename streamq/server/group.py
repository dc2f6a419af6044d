"""Making a consumer group."""

from __future__ import annotations

from streamq.errors import ServerRefused
from streamq.server.link import Link


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
        if "BUSYGROUP" in str(error):
            return False
        raise
    return True
