"""The worker under test: a program of its own, run as a process that can be killed.

The rig starts it by way of its nursery; by hand it is started so::

    python -m tests.faults.workload '{"url": …, "fifo": …}'

Each job says in its data what its handler is to do: ``do`` names one of :data:`ACTIONS`,
``until`` is the last attempt at which it does that (after which it just succeeds). Every
handler that gets to its end emits one ``effect``, written with the ack or not at all.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from streamq import App, Backoff, Dead, Job, Settings, signals
from streamq.observe.log_lines import LogObserver
from streamq.process.eventloop import run_async
from streamq.worker import consumer, runners
from streamq.worker.shutdown import end_with_main
from tests.faults.recorder import Pen

EFFECTS = "effects"
"""The stream that the handlers' effects are written to."""

ORDERS: dict[str, dict[str, Any]] = {
    "ordered": {"order": True},
    "narrow": {"max_in_flight": 4, "limit_per_key": 2},
    "slow": {"rate": "25/s burst 5"},
}
"""The groups with rules that a storm has on the stream ``orders``."""

FIFO = "STREAMQ_TEST_FIFO"
"""Tells the handlers that run in a process where the recorder reads."""


@dataclass
class Config:
    """How a worker process is to be.

    Attributes:
        url: the server.
        fifo: where the recorder reads.
        gate: a unix socket; handlers that are told to ``wait`` do so until it is closed.
        groups: group → retries.
        rules: group → what it asks of flow control.
        orders: whether the groups of :data:`ORDERS` are consumed, too.
        clock: seconds by which this process's wall clock is wrong.
        memory: MiB of address space that the process may use; 0 for no limit.
        stuck_after: seconds that a cancelled handler has.
    """

    url: str = ""
    fifo: str = ""
    gate: str = ""
    stream: str = "jobs"
    groups: dict[str, int] = field(default_factory=lambda: {"alpha": 3})
    rules: dict[str, dict[str, Any]] = field(default_factory=dict)
    orders: bool = False
    concurrency: int = 16
    prefetch: int = 1000
    lease: float = 0.5
    grace: float = 1.0
    result_ttl: float = 600.0
    timeout: float = 0.3
    backoff: float = 0.02
    burst: bool = False
    clock: float = 0.0
    memory: int = 0
    stuck_after: float = 0.5

    def dump(self) -> str:
        """As the program's argument."""
        return json.dumps(asdict(self))


async def _wait(gate: str) -> None:
    try:
        reader, writer = await asyncio.open_unix_connection(gate)
        try:
            await reader.read()
        finally:
            writer.close()
    except OSError:
        pass  # the gate is open


async def _ignore_cancellation(data: dict[str, Any]) -> None:
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


async def _fail(data: dict[str, Any]) -> None:
    raise RuntimeError("told to fail")


async def _die(data: dict[str, Any]) -> None:
    raise Dead("told to die")


async def _kill(data: dict[str, Any]) -> None:
    Pen(os.environ[FIFO]).write("lost", pid=os.getpid())
    os.kill(os.getpid(), signal.SIGKILL)


async def _exit(data: dict[str, Any]) -> None:
    sys.exit(3)


async def _leave(data: dict[str, Any]) -> None:
    Pen(os.environ[FIFO]).write("lost", pid=os.getpid())
    os._exit(3)


async def _block(data: dict[str, Any]) -> None:
    time.sleep(data["seconds"])  # noqa: ASYNC251 - the fault under test


async def _sleep(data: dict[str, Any]) -> None:
    await asyncio.sleep(data["seconds"])


async def _exhaust(data: dict[str, Any]) -> None:
    hoard = []
    while True:
        hoard.append(bytearray(64 * 1024 * 1024))


async def _cancelled(data: dict[str, Any]) -> None:
    inner = asyncio.get_running_loop().create_future()
    inner.cancel()
    await inner


async def _base_exception(data: dict[str, Any]) -> None:
    raise GeneratorExit


ACTIONS: dict[str, Callable[[dict[str, Any]], Awaitable[None]]] = {
    "block": _block, "cancelled": _cancelled, "dead": _die, "base exception": _base_exception,
    "exhaust": _exhaust, "exit": _exit, "fail": _fail, "kill": _kill, "leave": _leave,
    "sleep": _sleep, "stubborn": _ignore_cancellation,
}  # fmt: skip


class Workload:
    """The handlers, and the observer that writes down what becomes of the jobs."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.pen = Pen(config.fifo)
        self.log = LogObserver()
        self.counted = 0
        self.name = ""
        self.app = App(config.url, stream=config.stream, offload=2000 if config.orders else None)
        backoff = Backoff(base=config.backoff, cap=1.0)
        for group, retries in config.groups.items():
            for type, function, timeout in (
                ("work", self.work, None),
                ("bounded", self.work, config.timeout),
                ("thread", self.work_in_thread, None),
                ("bounded_thread", self.work_in_thread, config.timeout),
            ):
                self.app.group(group).handler(
                    type, retries=retries, backoff=backoff, timeout=timeout
                )(function)
            self.app.group(group).handler(
                "process", retries=retries, backoff=backoff, process=True
            )(work_in_process)
            self.app.group(group).handler("quiet", retries=retries)(self.count)
            self.app.group(group).handler("batch", retries=retries, backoff=backoff, batch=10)(
                self.work_in_batch
            )
            self.app.group(group, ignore=["effect"], **config.rules.get(group, {}))

        if config.orders:
            self._add_orders(backoff)

    def _add_orders(self, backoff: Backoff) -> None:
        for name, rules in ORDERS.items():
            group = self.app.group(name, stream="orders", retries=3, backoff=backoff, **rules)
            group.handler("work")(self.work)
            if "order" in rules:
                group.every(1, type="tick", data={"n": -1}, key="k0")(self.work)

    async def work(
        self, job: Job, n: int, do: str = "", then: str = "", until: int = 1000, **data: Any
    ) -> int:
        """Do what the job says."""
        self.begin(job)
        try:
            if job.attempt <= until:
                for action in filter(None, (do, then)):
                    if action == "wait":
                        await _wait(self.config.gate)
                    else:
                        await ACTIONS[action](data)
        finally:
            if job.key is not None:
                _write(self.pen, "end", job)
        effect(job, n)
        return n

    def work_in_thread(self, job: Job, n: int, do: str = "", until: int = 1000) -> int:
        """Do what the job says, in a thread."""
        self.begin(job)
        if job.attempt > until:
            pass
        elif do == "wait":
            with socket.socket(socket.AF_UNIX) as gate:
                try:
                    gate.connect(self.config.gate)
                    gate.recv(1)
                except OSError:
                    pass
        elif do == "stop iteration":
            raise StopIteration
        effect(job, n)
        return n

    async def count(self) -> None:
        """Count the job and no more, where there are very many."""
        self.counted += 1

    async def work_in_batch(self, jobs: list[Job]) -> None:
        """Take several jobs at once."""
        for job in jobs:
            self.begin(job)
            effect(job, job.data["n"])

    def begin(self, job: Job) -> None:
        """Write down that the handler has been entered."""
        _write(self.pen, "begin", job)

    def observe(self, event: signals.Signal) -> None:
        """Write down what the worker tells."""
        self.log(event)
        pen = self.pen
        match event:
            case signals.Settled(verdicts):
                groups: dict[tuple[str, str], list[tuple[str, int]]] = {}
                for verdict in verdicts:
                    place = verdict.job.group, verdict.outcome.value
                    groups.setdefault(place, []).append((verdict.job.id, verdict.job.attempt))
                for (group, outcome), jobs in groups.items():
                    at = time.monotonic()
                    pen.write_many("settled", "jobs", jobs, group=group, outcome=outcome, at=at)
            case signals.Refused(verdict, holder):
                job = verdict.job
                pen.write(
                    "refused", group=job.group, job=job.id, attempt=job.attempt,
                    outcome=verdict.outcome.value, holder=holder,
                )  # fmt: skip
            case signals.LeaseLost(_, group, jobs):
                pen.write_many("lease lost", "jobs", jobs, group=group)
            case signals.Reclaimed(_, group, jobs):
                pen.write_many("reclaimed", "jobs", jobs, group=group)
            case signals.DeadLettered(_, group, job, deliveries):
                pen.write("dead lettered", group=group, job=job, deliveries=deliveries)
            case signals.Vanished(_, group, jobs):
                pen.write_many("vanished", "jobs", jobs, group=group)
            case signals.GroupCreated(_, group, again):
                pen.write("group created", group=group, again=again)
            case signals.ServerLost(error):
                pen.write("server lost", error=str(error), kind=type(error).__name__)
            case signals.ServerBack(seconds):
                pen.write("server back", seconds=seconds)
            case signals.HandlerAbandoned(job):
                pen.write("stuck", job=job.id)
            case signals.Stopping(running):
                pen.write("stopping", running=running, consumer=self.name)

    async def run(self) -> None:
        """Consume until told to stop, or until nothing is left."""
        config = self.config
        settings = Settings(
            concurrency=config.concurrency, prefetch=config.prefetch, lease=config.lease,
            grace=config.grace, result_ttl=config.result_ttl, processes=1,
        )  # fmt: skip
        async with self.app:
            worker = self.app.worker(
                settings=settings, observers=[self.observe], burst=config.burst
            )
            self.name = worker.name
            self.pen.write("started", consumer=self.name, pid=os.getpid())
            await worker.run(signals=True)
        self.pen.write("ended", counted=self.counted)


def _write(pen: Pen, what: str, job: Job) -> None:
    key = {} if job.key is None else {"key": job.key}
    pen.write(
        what, group=job.group, job=job.id, attempt=job.attempt,
        consumer=job.consumer, pid=os.getpid(), **key,
    )  # fmt: skip


def effect(job: Job, n: int) -> None:
    """Emit what the checker counts."""
    job.emit(
        "effect",
        {
            "job": job.id, "group": job.group, "consumer": job.consumer,
            "attempt": job.attempt, "n": n,
        },
        stream=EFFECTS,
    )  # fmt: skip


def work_in_process(job: Job, n: int, do: str = "", until: int = 1000) -> int:
    """Do what the job says, in a process of its own."""
    _write(Pen(os.environ[FIFO]), "begin", job)
    if job.attempt <= until:
        if do == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif do == "exit":
            sys.exit(3)
    effect(job, n)
    return n


def main(dumped: str) -> None:
    """Run one worker."""
    config = Config(**json.loads(dumped))
    os.environ[FIFO] = config.fifo
    if config.clock:
        true = time.time
        time.time = lambda: true() + config.clock
    for module in (runners, consumer):
        vars(module)["STUCK_AFTER"] = config.stuck_after
    if config.memory:
        limit = config.memory * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    run_async(Workload(config).run)
    end_with_main()  # as App.run does


if __name__ == "__main__":
    main(sys.argv[1])
