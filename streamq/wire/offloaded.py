"""Data that is kept outside the stream: what an entry has instead.

Its field ``data`` is empty, and ``ref`` says how large the data is and where: ``3145728:NAME`` for
a key beside the stream, ``3145728:store:NAME`` for an object store. ``lua/includes/offloaded.lua``
reads the same.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

FIELD = b"ref"

_FORM = re.compile(rb"([0-9]{1,15}):((?:store:)?[0-9a-f]{32})")
_PACKED = re.compile(rb"\xa3ref(?:[\xa0-\xbf]|\xd9.)" + _FORM.pattern, re.DOTALL)
_STORE = "store:"


class Ref(NamedTuple):
    """Where data is that is kept outside the stream.

    Attributes:
        size: its bytes.
        place: ``NAME`` or ``store:NAME``.
    """

    size: int
    place: str

    @property
    def in_store(self) -> bool:
        """Whether it is in an object store, not beside the stream."""
        return self.place.startswith(_STORE)

    @property
    def name(self) -> str:
        """32 hexadecimal digits."""
        return self.place.removeprefix(_STORE)

    @property
    def value(self) -> str:
        """What stands in the field ``ref``."""
        return f"{self.size}:{self.place}"


def new_ref(size: int, *, in_store: bool) -> Ref:
    """A place for data of this size, with a name that nobody has had."""
    return Ref(size, f"{_STORE if in_store else ''}{os.urandom(16).hex()}")


def parse_ref(value: bytes | None) -> Ref | None:
    """What a field ``ref`` says; ``None`` for one that streamq has not written."""
    match = None if value is None else _FORM.fullmatch(value)
    return None if match is None else Ref(int(match[1]), match[2].decode())


def ref_in_packed(packed: bytes) -> Ref | None:
    """The same, of a job for later as it is packed by ``schedule.lua``."""
    match = _PACKED.search(packed)
    return None if match is None else Ref(int(match[1]), match[2].decode())
