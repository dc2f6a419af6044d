"""The attempts that a job has had in one group, out of its record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from streamq.wire.history import Noted, read_history


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a job, after its end.

    Attributes:
        number: from 1 on.
        outcome: how it ended: ``failed``, ``timed out``, ``worker lost``, ``succeeded``,
            ``cancelled`` or ``expired``.
        consumer: which consumer had it; ``None`` where that is not kept.
        started_at: when its handler was called, Unix time in seconds; ``None`` if it was not,
            or where that is not known: what a lost worker did, it can no longer tell.
        seconds: for how long it ran; ``None`` likewise.
        error: what went wrong, cut to some 300 bytes.
    """

    number: int
    outcome: str
    consumer: str | None = None
    started_at: float | None = None
    seconds: float | None = None
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The attempt as plain data."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def history_of(record: Mapping[bytes, bytes], last: int | None) -> tuple[Attempt, ...]:
    """The attempts that a record remembers.

    Args:
        last: the number of the last one, where that is known. Those beyond it are of an earlier
            time, before the group was rewound.
    """
    return tuple(
        _attempt(noted) for noted in read_history(record) if last is None or noted.number <= last
    )


def _attempt(noted: Noted) -> Attempt:
    return Attempt(
        noted.number,
        noted.how,
        noted.consumer or None,
        None if noted.began is None else noted.began / 1000,
        None if noted.took is None else noted.took / 1000,
        noted.error or None,
    )
