"""Periodic jobs whose time has come: each tick becomes an entry, once, whoever is first.

Every worker knows when a schedule ticks, and none leads. What Redis has counts: a worker writes
there at its start what it has in its code, and works by what is there. It ticks for the
schedules in its own code, and for those that were made at run time.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from streamq import lua
from streamq.produce.periodic import AllKept, Kept, Schedule, read_all
from streamq.signals import Ticked
from streamq.text import printable
from streamq.wire.keys import stream_keys
from streamq.worker.inflight import Delivery
from streamq.worker.sources.context import Context
from streamq.worker.sources.source import now

CONFIRM = 10.0
"""Seconds between notes that a worker is there that has a schedule in its code."""

SOON = 0.01
"""Seconds until it is asked again at the start."""

LATE = 60_000
"""Milliseconds after which a tick counts as missed."""

AT_ONCE = 1_000_000
"""Bytes of data that one call writes, where one job has not more."""

MISSED = 1000
"""Missed ticks that are counted at once; of an expression each of them has to be worked out."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Due:
    """A schedule that this worker ticks for.

    Attributes:
        start: ticks after this time are due.
        next: the first of them; ``None`` when there is none.
    """

    schedule: Schedule
    start: int
    next: int | None = None

    def went_to(self, start: int) -> None:
        """Take note of the tick that is the last one now."""
        self.start = start
        self.next = self.schedule.rule.after(start)


class Ticks:
    """Writes the jobs of due ticks to the stream; they are then read as all new entries are."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._keys = stream_keys(context.keys.stream)
        self._declared = {one.name: one for one in context.schedules}
        self._begun = False
        self._known: bytes | None = b"" if not self._declared else None
        """The version of the schedules that was read last; ``None`` when they must be read."""
        self._due: list[_Due] = []
        self._confirm_at = inf
        self._ahead: float | None = None
        """Milliseconds that the server's clock is ahead of the event loop's."""
        self._warned: set[str] = set()
        self.next_at = 0.0 if self._declared else inf

    @property
    def active(self) -> bool:
        """Whether there are schedules, as far as is known."""
        return self.next_at < inf

    @property
    def caught_up(self) -> bool:
        """Whether no tick is due, as far as is known."""
        return not self.active or (self._ahead is not None and self.next_at > now())

    def heard(self, time: int, version: bytes | None) -> None:
        """Take note of the server's time in ms, and of the version of its schedules."""
        self._ahead = time - now() * 1000
        if (version or b"") != self._known:
            self._known = None
            self.next_at = 0.0

    async def take(self, room: int) -> Sequence[Delivery]:
        """Write the jobs that are due; there is nothing to handle yet."""
        if self._ahead is None:
            self.next_at = now() + SOON  # the first look at jobs for later is under way
            return ()
        if self._known is None or now() >= self._confirm_at:
            await self._read()
        time = self._server_time()
        for one in self._due:
            if one.next is not None and one.next <= time and self._known is not None:
                await self._tick(one, self._known, time)
        self.next_at = self._next_at()
        return ()

    def _server_time(self) -> int:
        assert self._ahead is not None
        return int(now() * 1000 + self._ahead)

    def _next_at(self) -> float:
        if self._known is None:
            return 0.0
        assert self._ahead is not None
        first = min((one.next for one in self._due if one.next is not None), default=inf)
        # A millisecond more: what was rounded is not to be a look too early.
        return min((first + 1 - self._ahead) / 1000, self._confirm_at)

    # -- which schedules ------------------------------------------------------

    async def _read(self) -> None:
        found = await self._look()
        if self._declared:
            found = await self._declare(found)
            self._confirm_at = now() + CONFIRM
        self._due = [
            _Due(schedule, start, schedule.rule.after(start))
            for schedule, start in map(self._ours, found.schedules.values())
            if schedule is not None
        ]
        self._known = found.version

    async def _look(self) -> AllKept:
        return read_all(await self._context.link.call("HGETALL", self._keys.cron))

    def _ours(self, kept: Kept) -> tuple[Schedule | None, int]:
        """A schedule, and the time after which it ticks; ``None`` if not for this worker."""
        schedule = kept.schedule
        if schedule is None:
            self._warn(kept)
        elif kept.paused is not None or (schedule.declared and kept.name not in self._declared):
            schedule = None
        return schedule, kept.start

    def _warn(self, kept: Kept) -> None:
        if kept.name not in self._warned:
            self._warned.add(kept.name)
            stream = printable(self._keys.stream, 100)
            name = printable(kept.name, 100)
            _log.warning("the schedule %s of %s does not tick: %s", name, stream, kept.problem)

    async def _declare(self, found: AllKept) -> AllKept:
        """Write what is in the code, and note that this worker is there."""
        while to_write := [one for one in self._declared.values() if self._prevails(one, found)]:
            one = to_write[0]
            call = lua.cron_put(
                self._keys, found.version, one.name, one.definition, one.raw, one.rule.text,
                declared=True,
            )  # fmt: skip
            await self._context.link.run(call)
            # Whether this one was written or another worker was first, they are others now.
            found = await self._look()
        self._begun = True
        kept = found.schedules
        same = [name for name, one in self._declared.items() if kept[name].is_as(one)]
        if same:
            await self._context.link.run(lua.cron_seen(self._keys, same))
        return found

    def _prevails(self, one: Schedule, found: AllKept) -> bool:
        """Whether what is in the code is to be written over what Redis has.

        It is at the start; later only when no worker has that in its code any more. So of two
        versions of a program the one that began last counts, and they do not take turns.
        """
        kept = found.schedules.get(one.name)
        if kept is None:
            return True
        return not kept.is_as(one) and not (self._begun and kept.has_worker(self._server_time()))

    # -- ticks ----------------------------------------------------------------

    async def _tick(self, one: _Due, version: bytes, time: int) -> None:
        schedule = one.schedule
        whole = schedule.missed == "all" and schedule.overlap == "allow"
        ticks = schedule.rule.between(one.start, time, schedule.most if whole else 1)
        at_once = max(AT_ONCE // len(schedule.raw), 1)
        for i in range(0, len(ticks), at_once):
            some = ticks[i : i + at_once]
            left_out = schedule.missed == "skip" and some[-1] < time - LATE
            jobs = [] if left_out else [schedule.fields(tick) for tick in some]
            call = lua.tick(
                self._keys, version, schedule.name, one.start, some[-1], schedule.overlap, jobs
            )
            before = one.start
            outcome, start, *more = await self._context.link.run(call)
            if outcome == b"changed":
                self._known = None
                return
            if outcome == b"early":
                self._ahead = more[0] - now() * 1000
                return
            one.went_to(int(start))
            if outcome == b"moved":
                return
            late = [(time - tick) / 1000 for tick in some] if more else ()
            # A tick before the first of these is one that nothing makes up for.
            missed = schedule.rule.count(before, some[0], MISSED) + (len(some) if left_out else 0)
            overlapped = len(some) if outcome == b"overlap" else 0
            self._context.signals.send(
                Ticked(self._keys.stream, schedule.name, late, missed, overlapped)
            )
