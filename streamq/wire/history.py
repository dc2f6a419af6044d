"""A job's attempts as its record remembers them; ``includes/history.lua`` writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

PREFIX = b"attempt:"
"""How the fields are named that are attempts; its number follows."""


class Noted(NamedTuple):
    """How an attempt ended.

    Attributes:
        began: when, Unix time in ms; ``None`` where that is not known.
        took: for how long it ran, ms; ``None`` likewise.
    """

    number: int
    how: str
    began: int | None
    took: int | None
    consumer: str
    error: str


def read_history(record: Mapping[bytes, bytes]) -> list[Noted]:
    """The attempts that a record remembers, in order, without what others have written."""
    found = [
        noted
        for name, value in record.items()
        if name.startswith(PREFIX) and (noted := _noted(name.removeprefix(PREFIX), value))
    ]
    return sorted(found)


def _noted(number: bytes, value: bytes) -> Noted | None:
    parts = value.split(b"\n", 4)
    if len(parts) < 5 or not _is_count(number):
        return None
    how, consumer, error = (_text(part) for part in (parts[0], parts[3], parts[4]))
    began, took = (int(part) if _is_count(part) else None for part in parts[1:3])
    return Noted(int(number), how, began or None, took, consumer, error)


def _is_count(raw: bytes) -> bool:
    return raw.isdigit() and len(raw) < 16


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
