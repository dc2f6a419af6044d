"""One worker in this process: how fast it drains a backlog, how soon it starts a job."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from typing import Any

import anyio

from streamq.bench.scratch import GROUP, Scratch
from streamq.bench.workload import DEFAULTS, TYPE, Workload
from streamq.handlers.handler import make_handler
from streamq.new_job import NewJob
from streamq.produce.producer import Producer
from streamq.server import Server
from streamq.signals import ServerLost, Settled, Signal
from streamq.verdict import Outcome
from streamq.worker import Handlers, Settings, Subscription, Worker

LATENCIES = 400
"""The most jobs for an idle worker, for :data:`LATENCIES_FOR` seconds."""

LATENCIES_FOR = 1.5

PAUSE = 0.002
"""Seconds between two of them, in which the worker settles and waits again."""

Handle = Callable[[int, str], Coroutine[Any, Any, None]]


async def drain(
    server: Server, workload: Workload, scratch: Scratch, *, records: bool
) -> tuple[int, float]:
    """Drain a backlog with a worker; return how many jobs, in how many seconds.

    The time is from the first handler to the last job settled.
    """
    begun = 0.0
    enough: asyncio.TimerHandle | None = None

    async def handle(n: int, pad: str) -> None:
        nonlocal begun, enough
        if begun == 0.0:
            begun = time.perf_counter()
            if workload.drain_for < math.inf:
                enough = asyncio.get_running_loop().call_later(workload.drain_for, worker.stop)

    worker = _Worker(
        server, workload, scratch, handle, records=records, burst=True, expected=workload.jobs
    )
    try:
        await worker.run()
    finally:
        if enough is not None:
            enough.cancel()
    if worker.settled != workload.jobs and not worker.stopped:
        raise scratch.changed()
    return worker.settled, worker.settled_at - begun


async def latencies(server: Server, workload: Workload, scratch: Scratch) -> list[float]:
    """Seconds from just before ``produce`` to the first line of the handler."""
    loop = asyncio.get_running_loop()
    entered: asyncio.Future[float] = loop.create_future()

    async def handle(n: int, pad: str) -> None:
        entered.set_result(time.perf_counter())

    producer = Producer(server)
    worker = _Worker(server, workload, scratch, handle, records=False)
    working = asyncio.ensure_future(worker.run())
    found: list[float] = []
    end = time.perf_counter() + LATENCIES_FOR
    try:
        # The first one waits for the worker's start.
        while len(found) < 2 or (
            len(found) <= min(LATENCIES, workload.jobs) and time.perf_counter() < end
        ):
            await anyio.sleep(PAUSE)
            entered = loop.create_future()
            begun = time.perf_counter()
            with anyio.CancelScope(shield=True):
                await producer.produce(scratch.name, NewJob(TYPE, workload.data))
            await asyncio.wait((working, entered), return_when=asyncio.FIRST_COMPLETED)
            if not entered.done():
                working.result()  # why it has ended
            found.append(entered.result() - begun)
        worker.stop()
        await working
    finally:
        if not working.done():
            working.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait((working,))
    return found[1:]


class _Worker:
    """A worker that a lost server ends, and that knows when the last job was settled.

    Args:
        records: whether it keeps status records.
        expected: how many jobs it stops after.
    """

    def __init__(
        self, server: Server, workload: Workload, scratch: Scratch, handle: Handle, *,
        records: bool, burst: bool = False, expected: int | None = None,
    ) -> None:  # fmt: skip
        self.settled = 0
        self.settled_at = 0.0
        self.stopped = False
        self._expected = expected
        self._lost: Exception | None = None
        self._running = anyio.CancelScope()
        handlers = Handlers([make_handler(TYPE, handle)])
        settings = Settings(
            concurrency=workload.concurrency, result_ttl=DEFAULTS.result_ttl if records else 0.0
        )
        self._worker = Worker(
            server, [Subscription(scratch.name, GROUP, handlers)],
            settings=settings, observers=[self._observe], burst=burst,
        )  # fmt: skip

    async def run(self) -> None:
        """Work to the end.

        Raises:
            StreamqError: the server was lost.
        """
        with self._running:
            await self._worker.run()
        if self._lost is not None:
            raise self._lost

    def stop(self) -> None:
        """Let it end."""
        self.stopped = True
        self._worker.stop()

    def _observe(self, event: Signal) -> None:
        match event:
            case Settled(verdicts):
                done = sum(1 for verdict in verdicts if verdict.outcome is Outcome.SUCCEEDED)
                if done:
                    self.settled += done
                    self.settled_at = time.perf_counter()
                if self.settled == self._expected:
                    self.stop()
            case ServerLost(error):
                # A worker would wait for it to come back.
                self._lost = error
                self._running.cancel()
