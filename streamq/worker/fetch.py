"""The first stage: new entries, due retries and stalled entries into the hand.

All three come through this one loop, so that what is in hand can be counted exactly,
and what the server gave away unseen (a reply lost with its connection) can be found.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from streamq import lua
from streamq.errors import GroupNotFound, OutcomeUnknown, StreamqError
from streamq.handlers.table import Handlers
from streamq.server.group import create_group
from streamq.server.link import Link
from streamq.signals import DeadLettered, GroupCreated, Reclaimed, Signals, Vanished
from streamq.wire.keys import GroupKeys, stream_keys
from streamq.worker.inflight import Delivery, InFlight
from streamq.worker.reconnect import Reconnect

BLOCK = 0.25
"""Seconds that one read waits for new entries: a retry parked meanwhile is late by no more."""

MOST = 250
"""Entries that one read takes at the most; fewer for a while after one that was lost.

A quarter of what is usually in hand: while one lot is read, another is handled and a third
settled. With halves, the server and the worker wait for each other."""

HANDFUL = 8
"""Entries up to which latency counts for more than a busy connection."""

TURN = 0.05
"""Seconds between looks at whether the next stalled entry may have its last chance."""

POLL = 1.0
"""Seconds between looks for retries that other workers have parked."""

SILENCE = 3600.0
"""Seconds after which a silent consumer that holds nothing is removed."""


class Budget:
    """How many more deliveries a worker may start; ``None`` for no limit."""

    def __init__(self, left: int | None = None) -> None:
        self.left = left
        self._lock = asyncio.Lock()

    def turn(self) -> AbstractAsyncContextManager[object]:
        """While there is a limit, consumers read one after the other, or they overdraw it."""
        return nullcontext() if self.left is None else self._lock

    def allow(self, wanted: int) -> int:
        """How many of ``wanted`` may be fetched."""
        return wanted if self.left is None else min(wanted, self.left)

    def spend(self, count: int) -> None:
        """Count what was fetched."""
        if self.left is not None:
            self.left -= count

    @property
    def spent(self) -> bool:
        """Whether nothing may be fetched any more."""
        return self.left == 0


class Fetcher:
    """Fills a hand for one consumer until told to stop.

    Args:
        link: the connection for reads that block; closed by the owner.
        wake: called when the hand has been given something.
        alive: whether the leases of what is in hand have been renewed of late; without
            that, a sweep could rob this very consumer.
    """

    def __init__(
        self,
        keys: GroupKeys,
        consumer: str,
        *,
        link: Link,
        in_flight: InFlight,
        handlers: Handlers,
        lease: float,
        budget: Budget,
        reconnect: Reconnect,
        signals: Signals,
        wake: Callable[[], None],
        alive: Callable[[], bool],
    ) -> None:
        self._keys = keys
        self._stage = f"fetch {keys.stream} {keys.group}"
        self._consumer = consumer
        self._link = link
        self._in_flight = in_flight
        self._handlers = handlers
        self._lease = lease
        self._budget = budget
        self._reconnect = reconnect
        self._signals = signals
        self._wake = wake
        self._alive = alive
        self._stop = asyncio.Event()
        self._suspect = False
        self._turn = 1
        self._most = self._room = MOST
        self._stream_keys = stream_keys(keys.stream)
        self._promote_at = 0.0
        self._due_at = 0.0
        self._sweep_at = 0.0
        self._last_chance = "", 0
        self._last_chance_until = 0.0
        self._heal_from = "-"

    async def run(self) -> None:
        """Fetch until :meth:`stop`."""
        while not self._stop.is_set():
            await self._in_flight.room()
            if self._stop.is_set():
                return
            if self._budget.spent:
                # The budget is spent: what was fetched is still to be run.
                await _first(self._in_flight.empty(), self._stop.wait())
                return
            try:
                await self._reconnect.persist(self._stage, self._fetch, stop=self._stop)
            except StreamqError:
                return  # only when stopping: whatever the server gave away comes back

    def stop(self) -> None:
        """Fetch no more. A read under way ends within :data:`BLOCK` seconds."""
        self._stop.set()
        self._in_flight.close()

    async def _fetch(self) -> None:
        try:
            if self._suspect:
                await self._give_back_unknown()
            async with self._budget.turn():
                await self._fetch_from_all()
        except GroupNotFound:
            await create_group(self._link, self._keys.stream, self._keys.group)
            self._signals.send(GroupCreated(self._keys.stream, self._keys.group, again=True))
        except BaseException as error:
            # The server may have given entries away that never arrived: too many at once
            # for its output buffers, or for the network in the time that there was.
            self._suspect = True
            if isinstance(error, OutcomeUnknown):
                self._most = max(self._room // 2, 1)
            raise
        else:
            self._most = min(self._most + 1, MOST)

    async def _fetch_from_all(self) -> None:
        self._room = room = min(self._budget.allow(self._in_flight.free), self._most)
        now = asyncio.get_running_loop().time()
        taken = 0
        if now >= self._promote_at:
            await self._promote()
        if now >= self._due_at:
            # Half of the room, so that retries cannot starve new entries, nor these them;
            # where there is room for one, by turns.
            taken += await self._claim_due((room + self._turn) // 2)
            self._turn = 1 - self._turn
        if now >= self._sweep_at and taken < room and self._alive():
            taken += await self._sweep(room - taken)
        if taken < room and not self._stop.is_set():
            next_at = min(self._promote_at, self._due_at, self._sweep_at)
            wait = 0.0 if taken else min(BLOCK, max(next_at - now, 0))
            taken += await self._read(room - taken, wait)
        if 0 < taken < HANDFUL:
            await asyncio.sleep(0)  # let a runner begin before the next read is sent

    async def _read(self, room: int, wait: float) -> int:
        block = ("BLOCK", max(int(wait * 1000), 1)) if wait > 0 else ()
        reply = await self._link.call(
            "XREADGROUP", "GROUP", self._keys.group, self._consumer, "COUNT", room,
            *block, "STREAMS", self._keys.stream, ">", block=wait,
        )  # fmt: skip
        if not reply:
            return 0
        # An entry deleted between two reads comes without fields.
        return self._give([(id.decode(), fields or [], 1) for id, fields in reply[0][1]])

    async def _promote(self) -> None:
        next_in, written = await self._link.run(lua.promote(self._stream_keys, MOST))
        pause = POLL * random.uniform(0.9, 1.1) if next_in < 0 else min(next_in / 1000, POLL)
        self._promote_at = 0.0 if written == MOST else asyncio.get_running_loop().time() + pause

    async def _claim_due(self, most: int) -> int:
        call = lua.claim_due(self._keys, self._consumer, most)
        next_in, claimed, deleted = await self._link.run(call)
        now = asyncio.get_running_loop().time()
        self._due_at = now + (POLL if next_in < 0 else min(next_in / 1000, POLL))
        self._lost_from_stream(deleted)
        return self._give([(id.decode(), fields, count) for id, fields, count in claimed])

    async def _sweep(self, most: int) -> int:
        pause = self._lease / 4
        call = lua.reclaim(
            self._keys, self._consumer, most,
            lease=_ms(self._lease), pause=_ms(pause), silence=_ms(SILENCE),
            deliveries=self._handlers.deliveries,
            deliveries_by_type=self._handlers.deliveries_by_type,
            last_chances=int(self._may_take_last_chance()), heal_from=self._heal_from,
        )  # fmt: skip
        reply = await self._link.run(call)
        now = asyncio.get_running_loop().time()
        self._sweep_at = now + pause * random.uniform(1.0, 1.25)
        if reply is None:
            return 0  # another worker has just swept
        claimed, buried, deleted, _removed, more, heal_from = reply
        self._heal_from = heal_from.decode()
        if more:
            self._sweep_at = now if claimed or buried or deleted else now + TURN
        stream, group = self._keys.stream, self._keys.group
        for id, deliveries, type in zip(buried[::3], buried[1::3], buried[2::3], strict=True):
            named = type.decode("utf-8", "backslashreplace")
            self._signals.send(DeadLettered(stream, group, id.decode(), deliveries, named))
        self._lost_from_stream(deleted)
        if claimed:
            ids = [id.decode() for id, _, _ in claimed]
            self._signals.send(Reclaimed(stream, group, ids))
        for id, fields, count in claimed:
            if self._handlers.is_last(fields, count):
                self._last_chance = id.decode(), count
                self._last_chance_until = now + self._lease
        return self._give([(id.decode(), fields, count) for id, fields, count in claimed])

    def _may_take_last_chance(self) -> bool:
        """Whether a job on its last delivery would be alone: it may be one that kills.

        One that has lived for a whole lease has shown that it is just slow.
        """
        gone = self._last_chance not in self._in_flight.held.items()
        return gone or asyncio.get_running_loop().time() >= self._last_chance_until

    async def _give_back_unknown(self) -> None:
        """Release what the server holds to be ours and we have never seen."""
        most = MOST + len(self._in_flight.held)
        while True:
            call = lua.release(self._keys, self._consumer, most, self._in_flight.held)
            released, looked_at = await self._link.run(call)
            if released == 0 or looked_at < most:
                break
        self._suspect = False
        self._due_at = 0.0

    def _give(self, deliveries: list[Delivery]) -> int:
        if deliveries:
            self._budget.spend(len(deliveries))
            self._in_flight.take(deliveries)
            self._wake()
        return len(deliveries)

    def due_in(self, delay: float) -> None:
        """Take note that this worker has parked an entry that is due in ``delay`` seconds."""
        self._due_at = min(self._due_at, asyncio.get_running_loop().time() + delay)

    def _lost_from_stream(self, ids: list[bytes]) -> None:
        if ids:
            gone = [id.decode() for id in ids]
            self._signals.send(Vanished(self._keys.stream, self._keys.group, gone))


async def _first(*waits: Coroutine[Any, Any, object]) -> None:
    """Wait for one of several things, and no longer for the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _ms(seconds: float) -> int:
    return max(int(seconds * 1000), 1)
