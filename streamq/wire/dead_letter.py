"""A dead letter as ``dead_letter.lua`` writes it: what streamq knows, then the entry's fields.

Reading it by position keeps the two apart, whatever the entry's own fields are called.
"""

from __future__ import annotations

from collections.abc import Sequence

NAMES = [b"id", b"reason", b"error", b"attempts", b"consumer"]
"""The fields in front, each with its value. A new one is added here, in ``dead_letter.lua`` (where
``LETTER`` counts them) and in :mod:`streamq.admin.dead_letter`, and letters that were written
without it must still be read."""


def split(id: str, fields: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """The values of :data:`NAMES`, and the entry's own fields, as a flat list.

    Args:
        id: the dead letter's own ID, for one that was written by hand.
    """
    size = 2 * len(NAMES)
    front, own = list(fields[:size]), list(fields[size:])
    if front[::2] == NAMES:
        return front[1::2], own
    return [id.encode(), b"", b"not written by streamq", b"0", b""], list(fields)
