"""What a consumer has in hand: fetched, perhaps running, not yet settled."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence

Delivery = tuple[str, list[bytes], int]
"""Entry ID, its fields as a flat list, delivery count."""

AHEAD = 0.05
"""Seconds of work to have fetched ahead of the runners, at the pace seen lately."""

TRIPS = 3
"""Calls to the server between two reads of a room: to settle, to read, and one to spare.
What they take comes on top of :data:`AHEAD`, or a distant server would starve a worker."""


class InFlight:
    """The entries in hand, and the room for more.

    Never more than ``concurrency + prefetch``. Of the prefetch only so much is used
    as the handlers get through in some :data:`AHEAD` seconds: fast jobs come in large
    reads, and slow ones are left in the stream for a worker that has time.

    Args:
        concurrency: how many handlers run at once.
        prefetch: how many entries may wait for one at the most.
        batch: how many entries one handler takes at the most.
    """

    def __init__(self, concurrency: int, prefetch: int, batch: int = 1) -> None:
        self.concurrency = concurrency
        self.prefetch = prefetch
        self.held: dict[str, int] = {}
        """Entry ID → delivery count, of all in hand."""
        self.buffer: deque[Delivery] = deque()
        """Those that no runner has begun."""
        self.finished = 0
        """How many have left the hand, ever."""
        self.trip = 0.0
        """Seconds that a call to the server took lately."""
        self._closed = False
        # Handlers that take batches have them waiting, however slow they are.
        self._least = min(concurrency * (batch - 1), prefetch)
        self._limit = concurrency + self._least
        self._pace_from = (time.monotonic(), 0)
        self._room_waiter: asyncio.Future[None] | None = None
        self._empty_waiters: list[asyncio.Future[None]] = []

    def take(self, deliveries: Sequence[Delivery]) -> None:
        """Add what was fetched."""
        self.held.update([(id, attempt) for id, _, attempt in deliveries])
        self.buffer.extend(deliveries)

    def let_go(self, ids: Sequence[tuple[str, int]]) -> None:
        """Remove what is settled or lost: pairs of entry ID and delivery count."""
        held = self.held
        before = len(held)
        for id, attempt in ids:
            # The same entry may be in hand again, at a later delivery.
            if held.get(id) == attempt:
                del held[id]
        self.finished += before - len(held)
        if self._room_waiter is not None and len(held) < self._limit:
            _wake(self._room_waiter)
        if self._empty_waiters and not held:
            for waiter in self._empty_waiters:
                _wake(waiter)
            self._empty_waiters.clear()

    @property
    def free(self) -> int:
        """For how many there is room."""
        return max(self._limit - len(self.held), 0)

    async def room(self) -> None:
        """Wait until there is room, or the hand is closed."""
        while not self._closed:
            self._adapt()
            if self.free:
                return
            self._room_waiter = asyncio.get_running_loop().create_future()
            try:
                await self._room_waiter
            finally:
                self._room_waiter = None

    async def empty(self) -> None:
        """Wait until nothing is in hand."""
        while self.held:
            waiter = asyncio.get_running_loop().create_future()
            self._empty_waiters.append(waiter)
            await waiter

    def close(self) -> None:
        """Take nothing any more."""
        self._closed = True
        if self._room_waiter is not None:
            _wake(self._room_waiter)

    def _adapt(self) -> None:
        since, finished = self._pace_from
        now = time.monotonic()
        if now - since >= AHEAD:
            pace = (self.finished - finished) / (now - since)
            ahead = int(pace * (AHEAD + TRIPS * self.trip))
            self._limit = self.concurrency + min(max(ahead, self._least), self.prefetch)
            self._pace_from = (now, self.finished)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
