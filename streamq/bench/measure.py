"""What is measured, in which order."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import anyio

from streamq.bench import bare, worker
from streamq.bench.busy import observed
from streamq.bench.calls import CALLS, one_by_one
from streamq.bench.report import BenchReport, Drained, Percentiles, Processed
from streamq.bench.scratch import Scratch, scratch_stream
from streamq.bench.workload import DEFAULTS, Workload
from streamq.bench.writing import Writer
from streamq.server import Server

ROUNDS = 2
"""How often each backlog is processed: the fastest counts, for what else the machine does can
only slow it down."""


class Bench:
    """Measures a server, and one worker in this process with it.

    Args:
        jobs: the size of a backlog; by default, what can be written in half a second, up
            to :data:`streamq.bench.workload.JOBS`.
        payload: bytes of data in each job.
        concurrency: handlers at once.
        tell: called with a line for a person if something of the benchmark is left behind.

    Raises:
        ConfigError: the numbers cannot be used.
    """

    def __init__(
        self,
        server: Server,
        *,
        jobs: int | None = None,
        payload: int = 100,
        concurrency: int = DEFAULTS.concurrency,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._server = server
        self._workload = Workload(jobs, payload, concurrency)
        self._tell = tell
        self._running = anyio.CancelScope()
        self._writer = Writer(server, self._workload, lambda: self._running.cancel_called)

    def stop(self) -> None:
        """Stop early: :meth:`run` removes what it has written, and returns ``None``."""
        self._running.cancel()

    async def run(self) -> BenchReport | None:
        """Measure once; takes about ten seconds by default, or more with a server far away.

        Returns:
            What was measured; ``None`` if it was stopped.

        Raises:
            ServerRefused: the server has too little memory left, or is read-only.
            StreamqError: the server failed, or another program changed the streams.
        """
        with self._running:
            return await self._measure()
        return None

    async def _measure(self) -> BenchReport:
        server, workload, writer = self._server, self._workload, self._writer
        info = await server.info_now()
        workload.check_memory(info, server.where)
        async with self._scratch() as scratch:  # first of all: it shows whether one may write
            round_trip = await one_by_one(lambda: server.call("PING"), CALLS)
            alone = await writer.one_by_one(scratch)
        bulk: list[float] = []
        plain = await self._process(bulk, records=False)
        recorded = await self._process(bulk, records=True)
        async with self._scratch() as scratch:
            latency = await worker.latencies(server, workload, scratch)
        return BenchReport(
            where=server.where,
            embedded=server.embedded,
            server=info,
            jobs=workload.jobs,
            payload=workload.payload,
            concurrency=workload.concurrency,
            round_trip=Percentiles.of(round_trip),
            produce_one=len(alone) / sum(alone),
            produce_many=statistics.median(bulk),
            plain=plain,
            recorded=recorded,
            latency=Percentiles.of(latency),
        )

    async def _process(self, bulk: list[float], *, records: bool) -> Processed:
        """Process backlogs; ``bulk`` gets the jobs per second at which they were written."""
        best: dict[str, Drained] = {}
        for _ in range(ROUNDS):
            for name, drain in (("worker", worker.drain), ("bare", bare.drain)):
                async with self._scratch() as scratch:
                    bulk.append(await self._writer.backlog(scratch))
                    drained = await observed(
                        self._server,
                        drain(self._server, self._workload, scratch, records=records),
                    )
                if name not in best or drained.jobs_per_second > best[name].jobs_per_second:
                    best[name] = drained
        return Processed(best["worker"], best["bare"])

    def _scratch(self) -> AbstractAsyncContextManager[Scratch]:
        return scratch_stream(self._server, self._tell)
