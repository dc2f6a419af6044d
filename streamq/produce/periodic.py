"""Periodic jobs: their schedules, and the form in which Redis keeps them.

All schedules of a stream are in one hash. ``version`` is another one after each change of a
schedule. Of the schedule ``nightly``, ``schedule:nightly`` is what was asked for, as JSON,
``data:nightly`` the data of its jobs, ``rule:nightly`` when it ticks, ``from:nightly`` the time
after which ticks are due, ``tick:nightly`` its last tick, ``job:nightly`` the ID of its last job,
``paused:nightly`` since when it is paused, and ``seen:nightly`` when a worker that has it in its
code was there last; times are Unix time in ms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal, get_args

import orjson

from streamq.errors import ConfigError, StreamqError
from streamq.limits import MAX_MISSED, MAX_SCHEDULE, MISSED
from streamq.option_checks import check_key, milliseconds
from streamq.produce.ticks import Rule, make_rule
from streamq.text import printable
from streamq.wire.entry import check_type, encode
from streamq.wire.keys import check_group

Missed = Literal["skip", "latest", "all"]
Overlap = Literal["allow", "skip"]

STALE = 30_000
"""Milliseconds after which a schedule in the code counts as one that no worker has any more."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What was asked for of a periodic job; made with :func:`make_schedule`.

    Attributes:
        raw: the data of its jobs, encoded.
        group: the one group that its jobs are for; ``None`` for every group.
        key: the order key of its jobs.
        expires: ms after which one of its jobs is not run.
        missed: what becomes of ticks at which no worker was there.
        most: how many of them are made up for at most.
        overlap: whether a job is written while the last one is not settled.
        declared: whether it stands in the code of workers.
    """

    name: str
    type: str
    rule: Rule
    raw: bytes = field(default=b"{}", repr=False)
    group: str | None = None
    key: str | None = None
    expires: int | None = None
    missed: Missed = "latest"
    most: int = MISSED
    overlap: Overlap = "allow"
    declared: bool = False

    @property
    def definition(self) -> bytes:
        """All but the name and the data as JSON, without what is as by default."""
        values = {
            "type": self.type, "cron": self.rule.cron, "every": self.rule.every,
            "tz": self.rule.tz if self.rule.cron else None, "group": self.group,
            "key": self.key, "expires": self.expires, "missed": self.missed,
            "most": self.most if self.missed == "all" else None, "overlap": self.overlap,
            "declared": self.declared or None,
        }  # fmt: skip
        return orjson.dumps({name: value for name, value in values.items() if value is not None})

    def fields(self, tick: int | None = None) -> list[str | bytes | int]:
        """The fields of a job's entry, as ``XADD`` takes them."""
        fields = encode(self.type, self.raw, key=self.key, expires=self.expires)
        if self.group is not None:
            fields += ("for", self.group)
        if tick is not None:
            fields += ("tick", tick)
        return fields


def make_schedule(
    name: str,
    type: str,
    *,
    cron: str | None = None,
    every: timedelta | float | None = None,
    tz: str | None = None,
    raw: bytes = b"{}",
    group: str | None = None,
    key: str | None = None,
    expires: float | None = None,
    missed: Missed = "latest",
    most: int = MISSED,
    overlap: Overlap = "allow",
    declared: bool = False,
) -> Schedule:
    """A schedule, checked; see :class:`Schedule` for what is not said here.

    Args:
        cron: a cron expression.
        every: or an interval, in seconds.
        tz: the time zone of the expression; UTC by default.
        expires: seconds after which one of its jobs is not run.

    Raises:
        ConfigError: one of them cannot be used.
    """
    for option, value, known in (
        ("missed", missed, get_args(Missed)), ("overlap", overlap, get_args(Overlap)),
    ):  # fmt: skip
        if value not in known:
            raise ConfigError(f"{option}={value!r}: give one of {', '.join(known)}")
    if not isinstance(most, int) or not 1 <= most <= MAX_MISSED:
        raise ConfigError(f"most={most!r}: give 1 to {MAX_MISSED}")
    return Schedule(
        check_name(name), check_type(type), make_rule(cron, every, tz), raw,
        None if group is None else check_group(group), check_key("key", key),
        milliseconds("expires", expires), missed, most, overlap, declared,
    )  # fmt: skip


def check_name(name: str) -> str:
    """Return ``name`` if a schedule can have it, else raise :class:`ConfigError`."""
    if not 0 < len(name) <= MAX_SCHEDULE or printable(name) != name:
        raise ConfigError(
            f"{printable(name, 60)!r} is not a valid name of a schedule: use 1 to "
            f"{MAX_SCHEDULE} characters, no control characters"
        )
    return name


# -- as Redis has them ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kept:
    """A schedule as Redis has it.

    Attributes:
        schedule: what was asked for; ``None`` where it cannot be read.
        problem: why not.
        definition: what was asked for, as it was written.
        raw: the data of its jobs.
        start: ticks after this time are due: that of the last one, or when its rule was set.
        tick: its last tick.
        job: the ID of its last job.
        paused: since when it is paused.
        seen: when a worker that has it in its code was there last.
    """

    name: str
    schedule: Schedule | None
    problem: str | None
    definition: bytes
    raw: bytes
    start: int = 0
    tick: int | None = None
    job: str | None = None
    paused: int | None = None
    seen: int | None = None

    def is_as(self, schedule: Schedule) -> bool:
        """Whether it is what a schedule would be written as."""
        return self.definition == schedule.definition and self.raw == schedule.raw

    def has_worker(self, now: int) -> bool:
        """Whether a worker has it in its code, as far as is known at a time."""
        return self.seen is not None and now - self.seen < STALE


@dataclass(frozen=True, slots=True)
class AllKept:
    """All schedules of a stream at one moment, by name.

    Attributes:
        version: what it was then; ``b""`` where there are none.
    """

    version: bytes
    schedules: Mapping[str, Kept]


def read_all(flat: Sequence[bytes]) -> AllKept:
    """All schedules of a stream, out of what ``HGETALL`` returns."""
    values = dict(zip(flat[::2], flat[1::2], strict=True))
    names = [one.partition(b":")[2] for one in values if one.startswith(b"schedule:")]
    kept = [_read(name, values) for name in sorted(names)]
    return AllKept(values.get(b"version", b""), {one.name: one for one in kept})


def _read(raw_name: bytes, values: Mapping[bytes, bytes]) -> Kept:
    name = raw_name.decode("utf-8", "backslashreplace")

    def value(kind: bytes) -> bytes | None:
        return values.get(kind + b":" + raw_name)

    def number(kind: bytes) -> int | None:
        raw = value(kind)
        return int(raw) if raw is not None and raw.isdigit() and len(raw) < 16 else None

    schedule, problem = None, None
    definition, raw = value(b"schedule") or b"", value(b"data") or b"{}"
    try:
        schedule = _schedule(name, definition, raw)
    except (StreamqError, ValueError, TypeError, KeyError, AttributeError) as error:
        problem = f"it cannot be read: {printable(error, 200)}"
    job = value(b"job")
    return Kept(
        name, schedule, problem, definition, raw, number(b"from") or 0, number(b"tick"),
        None if job is None else job.decode("utf-8", "backslashreplace"),
        number(b"paused"), number(b"seen"),
    )  # fmt: skip


def _schedule(name: str, definition: bytes, raw: bytes) -> Schedule:
    values: dict[str, Any] = orjson.loads(definition)
    if "every" in values:
        values["every"] /= 1000
    expires = values.pop("expires", None)
    schedule = make_schedule(name, raw=raw, **values)
    return schedule if expires is None else replace(schedule, expires=int(expires))
