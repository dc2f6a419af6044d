"""What a consumer has in flight: fetched, perhaps running, not yet settled."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from streamq.worker.batch import Batch

Delivery = tuple[str, list[bytes], int]
"""Entry ID, its fields as a flat list, delivery count."""

Waiting = Delivery | Batch
"""What waits for a runner: a delivery, or a batch that has gathered."""

AHEAD = 0.05
"""Seconds of work to have fetched ahead of the runners, at the pace seen lately."""

FOREVER = 1e6

TRIPS = 3
"""Calls to the server between two reads of a room: to settle, to read, and one to spare.
What they take comes on top of :data:`AHEAD`, or a distant server would starve a worker."""


class Apart(Protocol):
    """Those in flight that take no room from the others.

    Attributes:
        apart: how many there are.
        free: for how many there is room.
    """

    @property
    def apart(self) -> int: ...
    @property
    def free(self) -> int: ...


class InFlight:
    """The entries in flight, and the room for more.

    Never more than ``concurrency + prefetch``, and what is :attr:`apart`. Of the prefetch only as
    much is used as the handlers get through in some :data:`AHEAD` seconds: fast jobs come in large
    reads, and slow ones are left in the stream for a worker that has time.

    Args:
        concurrency: how many handlers run at once.
        prefetch: how many entries may be in flight beside those that run.
        batch: how many entries one handler takes.
        waits: whether an entry may wait for a handler. If not, the prefetch is only for those
            whose handlers have ended and that are not yet settled.
        ended: how many these are, given only where no entry waits.
        places: how many handlers may run now, where streams share them; ``concurrency`` if not.
    """

    def __init__(
        self,
        concurrency: int,
        prefetch: int,
        batch: int = 1,
        *,
        waits: bool = True,
        ended: Callable[[], int] = lambda: 0,
        places: Callable[[], int] | None = None,
    ) -> None:
        self.concurrency = concurrency
        self.finished = 0
        """How many have been settled or lost, ever."""
        self.trip = 0.0
        """Seconds that a call to the server took lately."""
        self._memory = sys.maxsize
        self.prefetch = prefetch
        self.apart: Apart | None = None
        """Those in batches that gather or run, where there are any."""
        self._waits = waits
        self._ended = ended
        self._batch = batch
        self._places = places
        self._held: dict[str, int] = {}
        """Entry ID → delivery count, of all in flight."""
        self.cancelled: set[str] = set()
        """Those among them, and those before them, that have been cancelled."""
        self._waiting: deque[Waiting] = deque()
        """Those that no runner has begun, but for those that gather."""
        self._closed = False
        # Handlers that take batches have them waiting, however slow they are.
        self._least = min(concurrency * (batch - 1), prefetch) if waits and places is None else 0
        self._ahead = self._least
        self._pace_from = (time.monotonic(), 0)
        self._room_waiter: asyncio.Future[None] | None = None
        self._empty_waiters: list[asyncio.Future[None]] = []

    # -- in and out -----------------------------------------------------------

    def take(self, deliveries: Sequence[Delivery]) -> None:
        """Add what was fetched."""
        before = len(self._held)
        self._held.update([(id, attempt) for id, _, attempt in deliveries])
        self._waiting.extend(deliveries)
        if len(self._held) - before < len(deliveries):
            self._sift()

    def hold(self, id: str, attempt: int) -> None:
        """Have one in flight again whose settling must be repeated."""
        self._held[id] = attempt

    def next(self) -> Waiting | None:
        """The next one that no runner has begun."""
        return self._waiting.popleft() if self._waiting else None

    def put_back(self, first: Waiting) -> None:
        """Let one that :meth:`next` has returned be the next again, or a batch be the next."""
        self._waiting.appendleft(first)

    def forget_waiting(self) -> None:
        """Begin none of those that no runner has begun. They stay in flight."""
        self._waiting.clear()

    def let_go(self, deliveries: Sequence[tuple[str, int]]) -> None:
        """Remove what is settled: pairs of entry ID and delivery count."""
        held = self._held
        before = len(held)
        for id, attempt in deliveries:
            # The same entry may be in flight again, at a later delivery.
            if held.get(id) == attempt:
                del held[id]
        self.finished += before - len(held)
        self.look_for_room()
        if self._empty_waiters and not held:
            for waiter in self._empty_waiters:
                _wake(waiter)
            self._empty_waiters.clear()

    def lose(self, deliveries: Sequence[tuple[str, int]]) -> None:
        """Remove what is another consumer's by now; none of it is begun."""
        self.let_go(deliveries)
        self._sift()

    def _sift(self) -> None:
        """Drop what waits and is no longer held, or is held at a later delivery."""
        held = self._held
        self._waiting = deque(
            one for one in self._waiting if isinstance(one, Batch) or held.get(one[0]) == one[2]
        )

    def wait_for_handlers(self, waits: bool) -> None:
        """Say whether entries may wait for a handler from now on."""
        self._waits = waits

    # -- looking --------------------------------------------------------------

    def holds(self, id: str, attempt: int) -> bool:
        """Whether an entry is in flight, at this delivery."""
        return self._held.get(id) == attempt

    def deliveries(self) -> list[tuple[str, int]]:
        """Entry ID and delivery count of all in flight."""
        return list(self._held.items())

    def __len__(self) -> int:
        """How many there are."""
        return len(self._held)

    @property
    def waiting(self) -> int:
        """How many no runner has begun."""
        return len(self._waiting)

    # -- room -----------------------------------------------------------------

    @property
    def free(self) -> int:
        """For how many there is room."""
        count = len(self._held)
        if self.apart is not None:
            count -= self.apart.apart
        free = self._limit() - count
        if not self._waits:
            free = min(free + self._ended(), self.concurrency + self.prefetch - count)
        if self.apart is not None:
            free = min(free, self.apart.free)
        free = min(free, self._memory - len(self._held))
        return max(free, 0)

    def afford(self, count: int) -> None:
        """Have no more than ``count`` in flight, for they are large; but one for each handler."""
        self._memory = max(count, self.concurrency)

    async def room(self, timeout: float = FOREVER) -> None:
        """Wait until there is room, or :meth:`close` is called, or some seconds have passed."""
        self._adapt()
        if self._closed or self.free:
            return
        loop = asyncio.get_running_loop()
        waiter = self._room_waiter = loop.create_future()
        timer = loop.call_later(timeout, _wake, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._room_waiter = None
        self._adapt()

    def look_for_room(self) -> None:
        """Let whoever waits for room look again."""
        if self._room_waiter is not None and self.free:
            _wake(self._room_waiter)

    async def empty(self) -> None:
        """Wait until nothing is in flight."""
        while self._held:
            waiter = asyncio.get_running_loop().create_future()
            self._empty_waiters.append(waiter)
            await waiter

    def close(self) -> None:
        """Take nothing more."""
        self._closed = True
        if self._room_waiter is not None:
            _wake(self._room_waiter)

    def _limit(self) -> int:
        if self._places is None:
            return self.concurrency + self._ahead
        # At least one call waits, or there would be nothing to do when its turn comes; and no
        # more than that, beyond the pace, of a stream that has few turns.
        places = self._places()
        return places + max(self._ahead, places * (self._batch - 1), self._batch)

    def _adapt(self) -> None:
        since, finished = self._pace_from
        now = time.monotonic()
        if self._waits and now - since >= AHEAD:
            pace = (self.finished - finished) / (now - since)
            ahead = int(pace * (AHEAD + TRIPS * self.trip))
            self._ahead = min(max(ahead, self._least), self.prefetch)
            self._pace_from = (now, self.finished)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
