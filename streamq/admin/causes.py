"""What dead letters have in common: the errors that made them, and how often each did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streamq.admin.dead_letter import DeadLetter


@dataclass(frozen=True, slots=True)
class Cause:
    """An error that made dead letters.

    Attributes:
        name: the error's class, such as ``ConnectionError``; where none is known, the reason
            or the message, see :attr:`DeadLetter.cause`.
        count: how many of them it made.
        since: when the first of these became one; Unix time in seconds.
        latest: the last one.
        types: how many of them are of each job type.
    """

    name: str
    count: int
    since: float
    latest: DeadLetter
    types: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """The cause as plain data."""
        return {
            "name": self.name,
            "count": self.count,
            "since": self.since,
            "until": self.latest.dead_since,
            "error": self.latest.error,
            "types": dict(self.types),
        }


@dataclass(frozen=True, slots=True)
class Causes:
    """What the dead letters of a group have in common.

    Attributes:
        found: the most frequent first.
        looked_at: how many dead letters were looked at, the newest.
        complete: whether these were all.
    """

    found: tuple[Cause, ...]
    looked_at: int
    complete: bool

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data."""
        return {
            "causes": [cause.to_dict() for cause in self.found],
            "looked_at": self.looked_at,
            "complete": self.complete,
        }


@dataclass(slots=True)
class Counting:
    """Counts dead letters by cause, the newest first."""

    looked_at: int = 0
    _latest: dict[str, DeadLetter] = field(default_factory=dict)
    _since: dict[str, float] = field(default_factory=dict)
    _types: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, letter: DeadLetter) -> None:
        """Count one more, an older one."""
        self.looked_at += 1
        name = letter.cause
        self._latest.setdefault(name, letter)
        self._since[name] = letter.dead_since
        self._types.setdefault(name, Counter())[letter.type] += 1

    def causes(self, *, complete: bool) -> Causes:
        """What was counted."""
        found = [
            Cause(name, types.total(), self._since[name], self._latest[name], types)
            for name, types in self._types.items()
        ]
        found.sort(key=lambda cause: (-cause.count, cause.name))
        return Causes(tuple(found), self.looked_at, complete)
