"""The first stage: new entries, and what the sources have, into flight.

All come through this one loop, so that what is in flight can be counted exactly, and what the
server gave away unseen (a reply lost with its connection) can be found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from streamq import lua
from streamq.errors import GroupNotFound, OutcomeUnknown, StreamqError
from streamq.server.group import create_group
from streamq.signals import GroupCreated
from streamq.worker.budget import Budget
from streamq.worker.inflight import Delivery
from streamq.worker.reading import read, read_by_rules
from streamq.worker.reconnect import Reconnect
from streamq.worker.shares import Turns
from streamq.worker.sources import (
    Context,
    DueRetries,
    Source,
    Ticks,
    all_sources,
    gives_nothing,
)
from streamq.worker.sources.source import now

BLOCK = 0.25
"""Seconds that one read waits for new entries: a retry parked meanwhile is late by no more."""

MOST = 250
"""Entries that one read takes; fewer for a while after one that was lost.

A quarter of what is usually in flight: while one lot is read, another is handled and a third
settled. With halves, the server and the worker wait for each other."""

READ_BYTES = 8 * 1024 * 1024
"""Bytes that one read is meant to take."""

SHORTEST = 0.01
"""Seconds between two looks of one that has no room."""

HELD_BYTES = 64 * 1024 * 1024
"""Bytes that the entries in flight are meant to take."""

FIRST = 16
"""Entries that a first read takes, or a whole batch: nothing is known of their size yet."""

HANDFUL = 8
"""Entries up to which latency counts for more than a busy connection."""


class Fetcher:
    """Fetches for one consumer until it is stopped.

    Args:
        context: the consumer; its connection is closed by the owner.
        wake: called when there is something for a runner.
        release: called when what no runner has begun is to be given back.
        no_more: called when nothing will come any more, although the worker goes on.
        share: the stream's share of the slots, where streams share them.
    """

    def __init__(
        self,
        context: Context,
        *,
        budget: Budget,
        reconnect: Reconnect,
        wake: Callable[[], None],
        release: Callable[[], None],
        no_more: Callable[[], None],
        share: Turns | None = None,
    ) -> None:
        self.retries = DueRetries(context)
        self.ticks = Ticks(context)
        self._sources = all_sources(context, self.retries, self.ticks)
        self._context = context
        self._in_flight = context.in_flight
        self._stage = f"fetch {context.keys.stream} {context.keys.group}"
        self._budget = budget
        self._reconnect = reconnect
        self._wake = wake
        self._release = release
        self._no_more = no_more
        self._share = share
        self._stop = asyncio.Event()
        self._suspect = False
        self._turn = 0
        self._most = self._room = MOST
        self._unknown = READ_BYTES / max(FIRST, context.handlers.largest_batch)
        self._size = self._unknown

    async def run(self) -> None:
        """Fetch until :meth:`stop`."""
        try:
            await self._run()
        finally:
            self._looked(dry=True)  # nobody need wait for this stream

    async def _run(self) -> None:
        while not self._stop.is_set():
            if not self._in_flight.free:
                self._looked(dry=False)
            await self._in_flight.room(self._next_look())
            if self._stop.is_set():
                return
            if self._budget.spent:
                # What was fetched is still to be run.
                self._no_more()
                await _first(self._in_flight.empty(), self._stop.wait())
                return
            try:
                await self._reconnect.persist(self._stage, self._fetch, stop=self._stop)
            except StreamqError:
                return  # only when stopping: whatever the server gave away comes back

    @property
    def turn(self) -> int:
        """Changes when the server is asked to release what this consumer has not seen.

        Odd while it is being asked.
        """
        return self._turn

    def give(self, deliveries: Sequence[Delivery], turn: int) -> None:
        """Take what a settling call has handed to this consumer.

        If it may have been released before it arrived, others may have it: none of it is begun,
        and what is still this consumer's is released.

        Args:
            turn: :attr:`turn` when the call was sent.
        """
        if turn % 2 or turn != self._turn:
            self.suspect()
        else:
            self._give(deliveries)

    def suspect(self) -> None:
        """Look for what the server may have given away unseen."""
        self._suspect = True

    @property
    def paused(self) -> bool:
        """Whether it fetches nothing because the group is paused."""
        return self._context.control.paused

    @property
    def takes(self) -> bool:
        """Whether a settling call may hand out what may run next."""
        return not self._stop.is_set() and self._budget.left is None

    def stop(self) -> None:
        """Fetch nothing more. A read under way ends within :data:`BLOCK` seconds."""
        self._stop.set()
        self._in_flight.close()

    def _next_look(self) -> float:
        """Seconds until a source that gives nothing to handle is to be asked, room or not."""
        next_at = min(source.next_at for source in self._sources if gives_nothing(source))
        return max(next_at - now(), SHORTEST)

    async def _fetch(self) -> None:
        try:
            if self._suspect:
                await self._give_back_unknown()
            async with self._budget.turn():
                await self._fetch_from_all()
        except GroupNotFound:
            keys = self._context.keys
            await create_group(self._context.link, keys.stream, keys.group)
            self._context.signals.send(GroupCreated(keys.stream, keys.group, again=True))
        except BaseException as error:
            # The server may have given entries away that never arrived: too many at once
            # for its output buffers, or for the network in the time that there was.
            self._suspect = True
            self._looked(dry=True)  # or all that others have in hand would wait for the server
            if isinstance(error, OutcomeUnknown):
                self._most = max(self._room // 2, 1)
            raise
        else:
            self._most = min(self._most + 1, MOST)

    async def _fetch_from_all(self) -> None:
        control = self._context.control
        most = min(self._most, int(READ_BYTES / self._size) or 1)
        self._room = room = min(self._budget.allow(self._in_flight.free), most)
        time = now()
        taken = 0
        for source in self._sources:
            if time >= source.next_at and self._asked(source, room):
                deliveries = await source.take(room - taken)
                if deliveries:
                    self._weigh(deliveries)
                    if control.any_cancelled:
                        await self._context.note_cancelled([id for id, _, _ in deliveries])
                taken += self._give(deliveries)
        if control.paused:
            self._release()
        if taken < room and not self._stop.is_set():
            next_at = min(source.next_at for source in self._sources if self._asked(source, room))
            wait = 0.0 if taken or self._awaited else min(BLOCK, max(next_at - time, 0))
            if control.paused:
                await _first(asyncio.sleep(wait), self._stop.wait())
            else:
                ask = read_by_rules if control.rules else read
                deliveries = await ask(self._context, room - taken, wait)
                if deliveries:
                    self._weigh(deliveries)
                    taken += self._give(deliveries)
                elif not taken:
                    self._size = self._unknown  # what comes next may be anything
        if room:
            self._looked(dry=taken < room)
        if 0 < taken < HANDFUL:
            await asyncio.sleep(0)  # let a runner begin before the next read is sent

    @property
    def _awaited(self) -> bool:
        """Whether others wait to hear that there is nothing."""
        return self._share is not None and not self._share.dry

    def _looked(self, *, dry: bool) -> None:
        if self._share is not None:
            self._share.looked(dry=dry)

    def _asked(self, source: Source, room: int) -> bool:
        """Whether a source is asked: with rules, retries come together with new entries."""
        control = self._context.control
        if control.paused or room == 0:
            return gives_nothing(source)
        return not control.rules or source is not self.retries

    def _weigh(self, deliveries: Sequence[Delivery]) -> None:
        """Take note of how many bytes each of those has that have just come; small ones are
        believed slowly."""
        self._size = max(self._context.link.received / len(deliveries), self._size / 2)
        self._in_flight.afford(int(HELD_BYTES / self._size))

    def _give(self, deliveries: Sequence[Delivery]) -> int:
        if deliveries:
            self._budget.spend(len(deliveries))
            self._in_flight.take(deliveries)
            self._wake()
        return len(deliveries)

    async def _give_back_unknown(self) -> None:
        """Release what the server holds to be ours and we have never seen."""
        context = self._context
        most = MOST + len(self._in_flight)
        self._suspect = False  # a settling call may have reason to say it again
        self._turn += 1
        try:
            while True:
                known = [id for id, _ in self._in_flight.deliveries()]
                call = lua.release(context.keys, context.consumer, most, known)
                released, looked_at = await context.link.run(call)
                if released == 0 or looked_at < most:
                    break
        finally:
            self._turn += 1
        self.retries.due_now()


async def _first(*waits: Coroutine[Any, Any, object]) -> None:
    """Wait for one of several things, and no longer for the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
