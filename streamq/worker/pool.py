"""Slots that the partitions of a stream share: whoever has something takes one that is free.

A runner goes on with its partition for as long as that has something, for large batches are what
makes a worker fast. When others wait and no slot is free, it gives way after a moment, so that slow
jobs go round one by one.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from streamq.worker.inflight import InFlight, Waiting
from streamq.worker.slot import Slot

MOMENT = 0.01
"""Seconds for which a runner goes on with one partition while others wait for its slot."""


class Pool:
    """The slots of one group on one stream, in one worker.

    Args:
        slots: how many handlers run at once.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.busy = 0
        self.members: list[Part] = []
        self.hungry: dict[Part, None] = {}
        """Those that wait for a slot, in order."""

    def part(self) -> Part:
        """One more partition."""
        self.members.append(Part(self))
        return self.members[-1]

    def freed(self) -> None:
        """Have a free slot taken."""
        self.busy -= 1
        while self.hungry:
            first = next(iter(self.hungry))
            del self.hungry[first]
            if first.waiting:
                first.wake()
                return
        if self.busy == self.slots - 1:
            for member in self.members:
                member.look_for_room()


class Part:
    """What one partition has of the slots.

    Attributes:
        dry: whether others need not wait until it has been read; they never do.
    """

    def __init__(self, pool: Pool) -> None:
        self.dry = True
        self._pool = pool
        self._running: dict[Slot, float] = {}
        """The runners that have a slot, and since when."""
        self._in_flight: InFlight | None = None
        self.wake: Callable[[], None] = lambda: None

    def join(self, in_flight: InFlight, wake: Callable[[], None]) -> None:
        """Take part; see :meth:`streamq.worker.shares.Share.join`."""
        self._in_flight, self.wake = in_flight, wake

    def part(self) -> Part:
        """One more partition."""
        return self._pool.part()

    @property
    def waiting(self) -> int:
        """How many wait for a runner."""
        return 0 if self._in_flight is None else self._in_flight.waiting

    @property
    def places(self) -> int:
        """How many slots it has or could have now."""
        return len(self._running) + self._pool.slots - self._pool.busy

    def look_for_room(self) -> None:
        """Let its fetcher look again."""
        if self._in_flight is not None:
            self._in_flight.look_for_room()

    def looked(self, *, dry: bool) -> None:
        """Take note of a read: nobody waits for one."""

    def take(self, slot: Slot) -> Waiting | None:
        """What a runner is to do next; ``None`` if there is nothing, or no slot for it."""
        pool, in_flight = self._pool, self._in_flight
        assert in_flight is not None
        since = self._running.get(slot)
        if since is not None:
            if not pool.hungry or time.monotonic() - since < MOMENT:
                first = in_flight.next()
                if first is not None:
                    return first
            elif in_flight.waiting:
                pool.hungry[self] = None
            del self._running[slot]
            pool.freed()
            return None
        if not in_flight.waiting:
            return None
        if pool.busy == pool.slots:
            pool.hungry[self] = None
            return None
        pool.hungry.pop(self, None)
        pool.busy += 1
        self._running[slot] = time.monotonic()
        return in_flight.next()

    def release(self, slot: Slot) -> None:
        """Take note that a runner ends, and have its slot taken."""
        if self._running.pop(slot, None) is not None:
            self._pool.freed()
