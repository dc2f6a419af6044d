"""When a periodic job is due: the ticks of a cron expression, or of an interval.

All times are Unix time in ms. The same rule gives the same ticks to everybody who asks, wherever
they begin: workers agree on them without speaking to each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice, takewhile

from streamq.errors import ConfigError
from streamq.limits import MAX_CRON, MAX_EVERY, MIN_EVERY
from streamq.text import printable

LOOK = 60_000
"""Milliseconds before its end that a span is looked at first; then eight times as many."""

_FIELDS = "give minute, hour, day of month, month and day of week, such as '0 7 * * MON'"


@dataclass(frozen=True, slots=True)
class Rule:
    """When a periodic job is due; made with :func:`make_rule`.

    Attributes:
        cron: the cron expression; ``None`` with an interval.
        tz: the name of the time zone in which the expression is read.
        every: the interval in ms, counted from 1970; ``None`` with an expression.
    """

    cron: str | None
    tz: str
    every: int | None

    @property
    def text(self) -> str:
        """The rule as text, the same for all who have the same one."""
        return f"every {self.every} ms" if self.cron is None else f"{self.cron} {self.tz}"

    def after(self, time: int) -> int | None:
        """The first tick after a time; ``None`` when none comes in fifty years."""
        return next(self._after(time), None)

    def between(self, start: int, end: int, most: int) -> list[int]:
        """The last ticks after ``start`` and up to ``end``, ``most`` at most, oldest first.

        However long the span is, little more than those is computed.
        """
        span = LOOK
        while True:
            begin = max(start, end - span)
            found = deque(takewhile(lambda tick: tick <= end, self._after(begin)), most)
            if len(found) == most or begin == start:
                return list(found)
            span *= 8

    def count(self, start: int, end: int, most: int) -> int:
        """How many ticks there are after ``start`` and before ``end``, up to ``most``."""
        if self.every is not None:
            return min(max((end - 1) // self.every - start // self.every, 0), most)
        return sum(1 for _ in islice(takewhile(lambda tick: tick < end, self._after(start)), most))

    def _after(self, time: int) -> Iterator[int]:
        if self.every is not None:
            tick = time - time % self.every
            while True:
                tick += self.every
                yield tick
        from cronsim import CronSim

        assert self.cron is not None
        last = time
        for moment in CronSim(self.cron, datetime.fromtimestamp(time // 1000, _zone(self.tz))):
            tick = int(moment.timestamp()) * 1000
            # Of times that a clock shows twice, or never, several may be one moment, or past.
            if tick > last:
                last = tick
                yield tick


def make_rule(cron: str | None, every: timedelta | float | None, tz: str | None) -> Rule:
    """A rule, checked.

    Args:
        cron: a cron expression: five fields, or six with seconds in front.
        every: an interval in seconds.
        tz: the time zone of the expression, such as ``Europe/Berlin``; UTC by default.

    Raises:
        ConfigError: one of them cannot be used, or both or neither of the first two are given.
    """
    if (cron is None) == (every is None):
        raise ConfigError("give either cron= or every=: when the job is due")
    if cron is None:
        if tz is not None:
            raise ConfigError(f"tz={tz!r}: an interval has no time zone, only cron= has one")
        return Rule(None, "UTC", _interval(every))
    rule = Rule(_checked(cron), "UTC" if tz is None else tz, None)
    _zone(rule.tz)
    if rule.after(int(datetime.now(UTC).timestamp()) * 1000) is None:
        raise ConfigError(f"cron={cron!r}: there is no such day in the next fifty years")
    return rule


def _interval(every: timedelta | float | None) -> int:
    seconds = every.total_seconds() if isinstance(every, timedelta) else every
    if not isinstance(seconds, int | float) or not MIN_EVERY <= seconds <= MAX_EVERY:
        raise ConfigError(
            f"every={every!r}: give a timedelta or seconds, {MIN_EVERY:g} to {MAX_EVERY:,.0f}"
        )
    return round(seconds * 1000)


def _checked(cron: str) -> str:
    from cronsim import CronSim, CronSimError

    if not isinstance(cron, str) or len(cron) > MAX_CRON or not cron.isascii():
        raise ConfigError(f"cron={printable(cron, 60)!r} is no cron expression: {_FIELDS}")
    try:
        CronSim(cron, datetime.now(UTC))
    except (CronSimError, AssertionError, TypeError, ValueError) as error:
        why = str(error) if isinstance(error, CronSimError) else "it cannot be read"
        raise ConfigError(
            f"cron={printable(cron, 60)!r}: {why[:1].lower()}{why[1:]}; {_FIELDS}"
        ) from None
    return " ".join(cron.upper().split())


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (LookupError, OSError, TypeError, ValueError):  # also names that are no file names
        raise ConfigError(
            f"tz={printable(name, 60)!r}: there is no such time zone, give one as Europe/Berlin"
        ) from None
