"""Jobs written: one by one, and in bulk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import anyio
import anyio.lowlevel

from streamq.bench.calls import CALLS, one_by_one
from streamq.bench.scratch import Scratch
from streamq.bench.workload import TYPE, Workload
from streamq.errors import OutcomeUnknown
from streamq.new_job import NewJob
from streamq.produce.many import Pair
from streamq.produce.producer import Producer
from streamq.server import Server

ARRIVAL = 0.5
"""Seconds in which what was on its way over a broken connection has arrived."""


class Writer:
    """Writes the jobs of a workload.

    What is on its way has to arrive before the stream is removed, or it would make the
    stream anew: so nothing cancels a call, but ``stopped`` is asked between two.

    Args:
        stopped: whether to write no more.
    """

    def __init__(self, server: Server, workload: Workload, stopped: Callable[[], bool]) -> None:
        self._producer = Producer(server)
        self._workload = workload
        self._stopped = stopped

    async def one_by_one(self, scratch: Scratch) -> list[float]:
        """Write some jobs, each awaited before the next; return the seconds of each."""

        async def produce() -> None:
            await self._producer.produce(scratch.name, NewJob(TYPE, self._workload.data))

        most = min(CALLS, self._workload.jobs)
        with anyio.CancelScope(shield=True):
            seconds = await one_by_one(produce, most, unless=self._stopped)
        await anyio.lowlevel.checkpoint()
        return seconds

    async def backlog(self, scratch: Scratch) -> float:
        """Write a backlog and return the jobs per second; the first decides its size."""
        workload = self._workload
        begun = time.perf_counter()

        def jobs() -> Iterator[Pair]:
            for _ in range(workload.jobs):
                if self._stopped() or time.perf_counter() - begun > workload.write_for:
                    break
                yield TYPE, workload.data

        with anyio.CancelScope(shield=True):
            try:
                written = await self._producer.produce_many(scratch.name, jobs())
                scratch.ids = [job.id for job in written]
            except OutcomeUnknown:
                await anyio.sleep(ARRIVAL)
                raise
        seconds = time.perf_counter() - begun
        await anyio.lowlevel.checkpoint()
        workload.fix_size(len(scratch.ids))
        return workload.jobs / seconds
