"""Jobs for later whose time has come: they become entries, for every group.

It has a timer of its own and does not wait with the reads: a server with nothing to do looks at
the time-outs of blocked reads ten times a second, so that one ends up to 0.1 s late.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

from streamq import lua
from streamq.errors import StreamqError
from streamq.limits import SCHEDULE_REMEMBERED
from streamq.server import Link
from streamq.signals import Promoted, Signals
from streamq.wire.keys import stream_keys
from streamq.worker.reconnect import Reconnect

FOUND = 250
"""Due jobs that one look finds."""

WRITTEN = 50
"""Jobs that one call writes: for about a millisecond, in which the server does nothing else."""

POLL = 0.1
"""Seconds between looks, for what is due sooner than all that was scheduled at the last one."""

IDLE_POLL = 0.15
"""Seconds between looks where nothing is scheduled: a delay of 0.05 s is kept within 0.1 s."""


class Promoter:
    """Writes due jobs to one stream; they are then read as all new entries are.

    Every consumer has one, and none leads: of several that find the same job, one writes it.

    Args:
        heard: called with the server's time in ms and the version of its periodic jobs: a stream
            without any pays no call for them.

    Attributes:
        caught_up: whether the last look has left nothing that was due.
    """

    def __init__(
        self,
        stream: str,
        *,
        link: Link,
        reconnect: Reconnect,
        signals: Signals,
        heard: Callable[[int, bytes | None], None],
    ) -> None:
        self.caught_up = False
        self._keys = stream_keys(stream)
        self._stage = f"promote {stream}"
        self._link = link
        self._reconnect = reconnect
        self._signals = signals
        self._heard = heard
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Look until :meth:`stop`."""
        while not self._stop.is_set():
            try:
                pause = await self._reconnect.persist(self._stage, self._look, stop=self._stop)
            except StreamqError:
                return  # only when stopping: what is due is for the others
            if pause > 0:
                try:
                    async with asyncio.timeout(pause):
                        await self._stop.wait()
                except TimeoutError:
                    pass

    def stop(self) -> None:
        """Write nothing more, once the call under way has ended."""
        self._stop.set()

    async def _look(self) -> float:
        """Write what is due, as far as one look goes; the seconds until the next one."""
        next_in, time, version, *found = await self._link.run(lua.due(self._keys, FOUND))
        self._heard(time, version)
        due = list(zip(found[::2], found[1::2], strict=True))
        self.caught_up = not due
        await self._write(due)
        self.caught_up = len(due) < FOUND
        if not self.caught_up:
            return 0.0
        if next_in < 0:
            return IDLE_POLL * random.uniform(0.8, 1.0)
        return min(int(next_in) / 1000, POLL)

    async def _write(self, due: Sequence[tuple[bytes, bytes]]) -> None:
        """Write these jobs, each a name and an idempotency key."""
        start = 0
        while start < len(due):
            some = due[start : start + WRITTEN]
            call = lua.promote(self._keys, some, int(SCHEDULE_REMEMBERED * 1000))
            reached, *late = await self._link.run(call)
            start += reached
            if late:
                self._signals.send(Promoted(self._keys.stream, [ms / 1000 for ms in late]))
