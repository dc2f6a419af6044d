"""What those who follow jobs are told."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from streamq.errors import ConfigError

FollowedState = Literal[
    "queued", "succeeded", "retrying", "dead", "cancelled", "expired", "skipped", "released",
    "reclaimed",
]  # fmt: skip
"""What can become of a job."""

Notice = Literal["following", "lost", "missed"]

STATES: tuple[FollowedState, ...] = get_args(FollowedState)


@dataclass(frozen=True, slots=True)
class Followed:
    """What has become of a job, or a notice. What does not apply or is not known is ``None``.

    Attributes:
        at: when, by the server's clock: Unix time in seconds.
        state: ``queued`` (it was written to the stream), ``succeeded``, ``retrying`` (an attempt
            failed, another one follows), ``dead``, ``cancelled``, ``expired``, ``skipped`` (it
            is for another group, or of a type that this one ignores), ``released`` (its worker
            has given it back) or ``reclaimed`` (its worker was lost). Notices are ``following``
            (from now on all that happens is told), ``lost`` (the server is, and is waited
            for) and ``missed`` (you were slower than the jobs).
        id: the job's; ``None`` in a notice.
        group: in which group; ``None`` for ``queued``, which is for all of them.
        attempt: the number of the attempt that has ended.
        consumer: which consumer had it.
        seconds: for how long its handler ran.
        next_attempt: seconds from then until its retry is due.
        reason: of a dead job, a short fixed phrase.
        error: what went wrong, cut to some 300 bytes.
        preview: of a queued job, the beginning of its data, on one line.
        missed: in that notice, how many events were left out.
    """

    at: float
    state: FollowedState | Notice
    stream: str
    id: str | None = None
    type: str | None = None
    group: str | None = None
    attempt: int | None = None
    consumer: str | None = None
    seconds: float | None = None
    next_attempt: float | None = None
    reason: str | None = None
    error: str | None = None
    preview: str | None = None
    missed: int | None = None

    @property
    def is_notice(self) -> bool:
        """Whether it is about the following itself, and about no job."""
        return self.id is None

    def to_dict(self) -> dict[str, Any]:
        """It as plain data."""
        return asdict(self)


class Wanted:
    """Which events are.

    Args:
        types: only jobs of these types, or patterns such as ``thumbnail_*``; none for all.
        states: only these states; none for all.

    Raises:
        ConfigError: there is no such state.
    """

    def __init__(self, types: Collection[str], states: Collection[str]) -> None:
        for name, given in (("types", types), ("states", states)):
            if isinstance(given, str):
                raise ConfigError(f"{name}={given!r}: give a list, {name}=[{given!r}]")
        for state in states:
            if state not in STATES:
                raise ConfigError(f"{state!r} is not a state: use {', '.join(STATES)}")
        self._types = tuple(types)
        self._states = frozenset(states)

    def has(self, state: str) -> bool:
        """Whether events of a state are wanted at all."""
        return not self._states or state in self._states

    def type(self, type: str) -> bool:
        """Whether those of a type are."""
        return not self._types or any(fnmatchcase(type, pattern) for pattern in self._types)
