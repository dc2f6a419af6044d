"""A dead letter as ``dead_letter.lua`` writes it: what streamq knows, then the entry's fields.

Reading it by position keeps the two apart, whatever the entry's own fields are called.
"""

from __future__ import annotations

from collections.abc import Sequence

NAMES = [b"id", b"reason", b"error", b"traceback", b"attempts", b"consumer"]
"""The fields in front, each with its value. A new one is added here, in ``dead_letter.lua`` (where
``first_own`` counts them) and in :mod:`streamq.admin.dead_letter`, and letters that were written
without it must still be read."""

_AT = 2 * NAMES.index(b"traceback")
"""Where the traceback stands, if there is one: in front of fields that are always there, so that no
field of the entry's can be taken for it."""


def split(id: str, fields: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """The values of :data:`NAMES`, and the entry's own fields, as a flat list.

    Args:
        id: the dead letter's own ID, for one that was written by hand.
    """
    size = 2 * len(NAMES)
    whole = list(fields)
    if whole[_AT : _AT + 1] != [b"traceback"]:
        whole[_AT:_AT] = [b"traceback", b""]
    if whole[:size:2] == NAMES:
        return whole[1:size:2], whole[size:]
    return [id.encode(), b"", b"not written by streamq", b"", b"0", b""], list(fields)
