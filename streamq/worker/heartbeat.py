"""The heartbeat: as long as this process lives, what it has in flight stays its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from streamq import lua
from streamq.errors import GroupNotFound
from streamq.lua import Arg
from streamq.server.link import Link
from streamq.signals import LeaseLost, Signals, Vanished
from streamq.wire.keys import GroupKeys
from streamq.worker.inflight import InFlight
from streamq.worker.reconnect import Reconnect

CHUNK = 250
"""Leases renewed in one call."""


class Heartbeat:
    """Renews the leases of one consumer, three times in each lease.

    Args:
        lease: seconds that a delivery stays ours without a heartbeat.
        lost: called with the jobs that are no longer ours.
        may_have_settled: whether a delivery (entry ID, count) may be settled already.
    """

    def __init__(
        self,
        keys: GroupKeys,
        consumer: str,
        *,
        link: Link,
        in_flight: InFlight,
        lease: float,
        reconnect: Reconnect,
        signals: Signals,
        lost: Callable[[Sequence[str]], None],
        may_have_settled: Callable[[tuple[str, int]], bool],
    ) -> None:
        self._keys = keys
        self._stage = f"heartbeat {keys.stream} {keys.group}"
        self._consumer = consumer
        self._link = link
        self._in_flight = in_flight
        self._lease = lease
        self._reconnect = reconnect
        self._signals = signals
        self._lost = lost
        self._may_have_settled = may_have_settled
        self._renewed_at = time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether what is in flight has been renewed so lately that it cannot have stalled."""
        return time.monotonic() - self._renewed_at < self._lease * 2 / 3

    async def run(self) -> None:
        """Renew until cancelled."""
        while True:
            await asyncio.sleep(self._lease / 3)
            now = time.monotonic()
            held = self._in_flight.deliveries()
            for start in range(0, len(held), CHUNK):
                await self._renew(held[start : start + CHUNK])
            self._renewed_at = now

    async def _renew(self, held: Sequence[tuple[str, int]]) -> None:
        pairs: list[Arg] = [part for pair in held for part in pair]
        call = lua.extend(self._keys, self._consumer, pairs)

        async def send() -> tuple[set[str], set[str]]:
            try:
                lost, deleted = await self._link.run(call)
            except GroupNotFound:
                return {id for id, _ in held}, set()
            return {id.decode() for id in lost}, {id.decode() for id in deleted}

        lost, deleted = await self._reconnect.persist(self._stage, send)
        if lost:
            self._give_up(held, lost, LeaseLost)
        if deleted:
            self._give_up(held, deleted, Vanished)

    def _give_up(
        self, held: Sequence[tuple[str, int]], gone: set[str], event: type[LeaseLost | Vanished]
    ) -> None:
        # What was settled is not lost: not while this call was under way, and not by one that
        # still is, or whose reply was lost.
        deliveries = [
            (id, attempt)
            for id, attempt in held
            if id in gone
            and self._in_flight.holds(id, attempt)
            and not self._may_have_settled((id, attempt))
        ]
        if deliveries:
            ids = [id for id, _ in deliveries]
            self._lost(ids)
            self._in_flight.lose(deliveries)
            self._signals.send(event(self._keys.stream, self._keys.group, ids))
