"""What is told to those who follow a group, as ``includes/follow.lua`` puts it together."""

from __future__ import annotations

from typing import NamedTuple

from streamq.wire.keys import WAITING

_ROW, _FIELD = "\x1e", "\x1f"


class Told(NamedTuple):
    """What has become of one job; ``None`` for what is not known.

    Attributes:
        attempt: which one it was.
        took: for how long its handler ran, ms.
        due: when its next attempt is, Unix time in ms.
    """

    state: str
    id: str
    attempt: int | None
    consumer: str | None
    type: str
    took: int | None
    due: float | None
    reason: str | None
    error: str | None


def read_message(message: str) -> tuple[float, list[Told]]:
    """The server's time in ms, and what has become of some jobs.

    What is none of streamq's own is left out; the time of such a message is 0.
    """
    time, *rows = message.split(_ROW)
    return _number(time) or 0.0, [told for row in rows if (told := _told(row)) is not None]


def _told(row: str) -> Told | None:
    fields = row.split(_FIELD)
    if len(fields) != len(Told._fields):
        return None
    state, id, attempt, consumer, type, took, due, reason, error = fields
    return Told(
        state, id, _count(attempt), None if consumer in WAITING else consumer or None, type,
        _count(took), _number(due), reason or None, error or None,
    )  # fmt: skip


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < 1e15 else None
