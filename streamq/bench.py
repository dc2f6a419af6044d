"""A small benchmark of one's own server: what it can do, and what one worker makes of it.

It works on streams of its own, with random names, and removes each when it has served.
Should the process be killed, what is left expires by itself.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import anyio
import anyio.lowlevel

from streamq import scripts
from streamq.errors import ConfigError, OutcomeUnknown, ServerRefused, StreamqError
from streamq.events import Event, Outcome, ServerLost, Settled
from streamq.handler import make_handler
from streamq.job import MAX_PAYLOAD
from streamq.keys import group_keys, stream_keys
from streamq.producer import NewJob, Producer
from streamq.reading import ask
from streamq.scripts import Arg
from streamq.server import Server, ServerInfo
from streamq.server.version import parse_info, read_info
from streamq.worker import Handlers, Settings, Subscription, Worker
from streamq.worker.settle import KEEP_DATA

JOBS = 50_000
"""Jobs of a backlog at the most, unless more are asked for."""

MOST_BYTES = 1 << 30
"""Bytes of a backlog's payloads at the most; by default, a sixteenth of it."""

MIN_PAYLOAD = 16
"""Bytes of the smallest data: ``{"n":1,"pad":""}``."""

WRITE_FOR = 0.5
"""Seconds of writing after which a backlog is large enough, unless its size was asked for."""

DRAIN_FOR = 1.0
"""Seconds of processing after which enough was seen, unless the size was asked for."""

CALLS = 2_000
"""Calls that are made one after the other at the most, for :data:`CALL_FOR` seconds."""

CALL_FOR = 0.7

LATENCIES = 400
"""Jobs for an idle worker at the most, for :data:`LATENCIES_FOR` seconds."""

LATENCIES_FOR = 1.5

PAUSE = 0.002
"""Seconds between two of them, in which the worker settles and waits again."""

EXPIRES = 900.0
"""Seconds after which a stream goes by itself if nobody removed it."""

DEFAULTS = Settings()

FULL = 0.9
"""The part of its memory limit to which a benchmark may fill a server."""

OVERHEAD = 500
"""Bytes that an entry and its status record take besides the payload; not exact."""

ARRIVAL = 0.5
"""Seconds in which what was on its way over a broken connection has arrived."""

ROUNDS = 2
"""How often each backlog is processed: the fastest counts, for what else the machine does can
only slow it down."""

LOOPS = 2
"""Bare loops side by side: the server has work from one while the other prepares its own."""

BATCH = 500
"""Entries that a bare loop reads and settles at once."""

REMOVED_AT_ONCE = 500

BUSY = 0.75
"""The part of the time from which on a server or a client is busy enough to be the limit."""

TYPE = "job"
GROUP = "bench"


# -- what was measured --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds within which half, and 99 of 100, were done."""

    p50: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Self:
        """Those of a sample, by the nearest rank."""
        ordered = sorted(seconds)
        p50, p99 = (ordered[math.ceil(part * len(ordered)) - 1] * 1000 for part in (0.5, 0.99))
        return cls(p50, p99)


@dataclass(frozen=True, slots=True)
class Drained:
    """How a backlog was processed, or so much of it as there was time for.

    Attributes:
        jobs_per_second: from the first job to the last settled one.
        server_busy: part of that time for which the server's main thread worked, for
            whomever; ``None`` where the server does not tell.
        client_busy: the same of this process.
    """

    jobs_per_second: float
    server_busy: float | None
    client_busy: float


@dataclass(frozen=True, slots=True)
class Processed:
    """One backlog processed by a worker, and the same by nothing but commands.

    Attributes:
        worker: a worker with an async handler that does nothing.
        bare: the limit: the same commands and scripts in a loop, without a worker.
    """

    worker: Drained
    bare: Drained

    @property
    def ratio(self) -> float:
        """How much of the limit the worker reaches."""
        return self.worker.jobs_per_second / self.bare.jobs_per_second


@dataclass(frozen=True, slots=True)
class BenchReport:
    """What a server and one worker process do, and which of the two is the limit.

    Attributes:
        where: the server's address, without user name and password.
        embedded: whether it is streamq's own.
        jobs: the size of a backlog.
        payload: bytes of data in each job.
        concurrency: handlers at once.
        round_trip: of a ``PING``.
        produce_one: jobs per second, each awaited before the next.
        produce_many: jobs per second, written in bulk.
        plain: processing without status records.
        recorded: processing with status records, as by default.
        latency: from just before ``produce`` to the handler's first line, on an idle worker.
    """

    where: str
    embedded: bool
    server: ServerInfo
    jobs: int
    payload: int
    concurrency: int
    round_trip: Percentiles
    produce_one: float
    produce_many: float
    plain: Processed
    recorded: Processed
    latency: Percentiles

    @property
    def limit(self) -> Literal["server", "client", "neither"]:
        """What keeps one worker process from doing more."""
        worker = self.recorded.worker
        if worker.server_busy is None:
            return "server" if self.recorded.ratio >= FULL else "client"
        if max(worker.server_busy, worker.client_busy) < BUSY:
            return "neither"
        return "server" if worker.server_busy >= worker.client_busy else "client"

    @property
    def server_limit(self) -> float | None:
        """Jobs per second, with status records, at which the server's main thread would be
        full, however many workers there are; ``None`` where the server does not tell."""
        worker = self.recorded.worker
        return worker.jobs_per_second / worker.server_busy if worker.server_busy else None

    @property
    def verdict(self) -> str:
        """What the limit is, in a sentence."""
        worker = self.recorded.worker
        done = f"one worker process did {worker.jobs_per_second:,.0f} jobs/s with status records"
        if worker.server_busy is None:
            return (
                f"The limit is the {self.limit}: {done}, {self.recorded.ratio:.0%} of what a loop "
                "of the same commands did; how busy the server was, it does not tell."
            )
        server, client = f"{worker.server_busy:.0%}", f"{worker.client_busy:.0%}"
        more = f"more worker processes can do up to about {self.server_limit or 0:,.0f}."
        match self.limit:
            case "server":
                return (
                    f"The limit is the server: {done}, which kept its main thread busy for "
                    f"{server} of the time; {more}"
                )
            case "client":
                return (
                    f"The limit is the client: {done} and was busy for {client} of the time, "
                    f"the server for {server}; {more}"
                )
            case "neither":
                return (
                    f"The limit is neither the server, busy for {server} of the time, nor the "
                    f"client, busy for {client}, but the way between them, where a round trip "
                    f"takes {self.round_trip.p50:.2g} ms, or other programs on their machines: "
                    f"{done}; {more}"
                )

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "server": {
                "where": self.where,
                "embedded": self.embedded,
                "name": self.server.name,
                "version": self.server.version,
            },
            "jobs": self.jobs,
            "payload": self.payload,
            "concurrency": self.concurrency,
            "round_trip_ms": asdict(self.round_trip),
            "produce": {"one": self.produce_one, "many": self.produce_many},
            "process": {
                name: {**asdict(processed), "ratio": processed.ratio}
                for name, processed in (("plain", self.plain), ("recorded", self.recorded))
            },
            "latency_ms": asdict(self.latency),
            "limit": self.limit,
            "server_limit": self.server_limit,
            "verdict": self.verdict,
        }


# -- measuring ----------------------------------------------------------------


class Bench:
    """Measures a server, and one worker in this process with it.

    Args:
        jobs: the size of a backlog; by default, what can be written in half a second, up
            to :data:`JOBS`.
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
        if not MIN_PAYLOAD <= payload <= MAX_PAYLOAD:
            raise ConfigError(f"payload={payload}: give {MIN_PAYLOAD} to {MAX_PAYLOAD:,} bytes")
        if jobs is not None and not 0 < jobs <= MOST_BYTES // payload:
            raise ConfigError(
                f"jobs={jobs}: give 1 to {MOST_BYTES // payload:,} of {payload:,} bytes, "
                "all of which are in the server at once"
            )
        self._server = server
        self._producer = Producer(server)
        self._write_for, self._drain_for = (
            (WRITE_FOR, DRAIN_FOR) if jobs is None else (math.inf, math.inf)
        )
        self._jobs = min(JOBS, MOST_BYTES // 16 // payload) if jobs is None else jobs
        self._payload = payload
        self._data = {"n": 1, "pad": "x" * (payload - MIN_PAYLOAD)}
        self._concurrency = concurrency
        self._tell = tell
        self._running = anyio.CancelScope()

    def stop(self) -> None:
        """Stop early: :meth:`run` removes what it has written, and returns ``None``."""
        self._running.cancel()

    async def run(self) -> BenchReport | None:
        """Measure once; takes about ten seconds by default, or more with a server far away.

        Returns:
            What was measured; ``None`` if it was stopped.

        Raises:
            ServerRefused: the server has too little memory left, or is read-only.
            StreamqError: the server failed, or somebody else changed the streams.
        """
        with self._running:
            return await self._measure()
        return None

    async def _measure(self) -> BenchReport:
        server = self._server
        async with server.borrowed() as link:
            info = await read_info(link, server.where)
        self._check_memory(info)
        async with self._scratch() as scratch:  # first of all: it shows whether one may write
            round_trip = await _one_by_one(lambda: server.call("PING"), CALLS)
            alone = await self._produce_one_by_one(scratch)
        bulk: list[float] = []
        plain = await self._process(bulk, records=False)
        recorded = await self._process(bulk, records=True)
        async with self._scratch() as scratch:
            latency = await self._latencies(scratch)
        return BenchReport(
            where=server.where,
            embedded=server.embedded,
            server=info,
            jobs=self._jobs,
            payload=self._payload,
            concurrency=self._concurrency,
            round_trip=Percentiles.of(round_trip),
            produce_one=len(alone) / sum(alone),
            produce_many=statistics.median(bulk),
            plain=plain,
            recorded=recorded,
            latency=Percentiles.of(latency),
        )

    def _check_memory(self, info: ServerInfo) -> None:
        """Refuse what could bring the server to its limit, where it would evict or refuse."""
        if not info.maxmemory:
            return
        each = self._payload + min(self._payload, KEEP_DATA) + OVERHEAD
        room = int(info.maxmemory * FULL) - info.used_memory
        if each * self._jobs > room:
            fitting = max(room // each, 0)
            advice = f"give {fitting:,} jobs or fewer" if fitting else "free some first"
            raise ServerRefused(
                f"the server at {self._server.where} has too little memory left for "
                f"{self._jobs:,} jobs of {self._payload:,} bytes: {info.used_memory:,} of its "
                f"maxmemory of {info.maxmemory:,} bytes are in use; {advice}"
            )

    # -- producing ------------------------------------------------------------

    async def _produce_one_by_one(self, scratch: Scratch) -> list[float]:
        async def produce() -> None:
            await self._producer.produce(scratch.name, TYPE, self._data)

        most = min(CALLS, self._jobs)
        with anyio.CancelScope(shield=True):  # see _write
            seconds = await _one_by_one(produce, most, unless=lambda: self._running.cancel_called)
        await anyio.lowlevel.checkpoint()
        return seconds

    async def _write(self, scratch: Scratch) -> float:
        """Write a backlog and return the jobs per second."""
        begun = time.perf_counter()

        def jobs() -> Iterator[NewJob]:
            for _ in range(self._jobs):
                if self._running.cancel_called or time.perf_counter() - begun > self._write_for:
                    break
                yield TYPE, self._data

        # What is on its way has to arrive before the stream is removed, or it would make
        # the stream anew.
        with anyio.CancelScope(shield=True):
            try:
                scratch.ids = await self._producer.produce_many(scratch.name, jobs())
            except OutcomeUnknown:
                await anyio.sleep(ARRIVAL)
                raise
        seconds = time.perf_counter() - begun
        await anyio.lowlevel.checkpoint()
        # All backlogs are as large as the first one.
        self._jobs, self._write_for = len(scratch.ids), math.inf
        return self._jobs / seconds

    # -- processing -----------------------------------------------------------

    async def _process(self, bulk: list[float], *, records: bool) -> Processed:
        best: dict[str, Drained] = {}
        for _ in range(ROUNDS):
            for name, drain in (("worker", self._work), ("bare", self._loop)):
                async with self._scratch() as scratch:
                    bulk.append(await self._write(scratch))
                    drained = await self._observed(drain(scratch, records=records))
                if name not in best or drained.jobs_per_second > best[name].jobs_per_second:
                    best[name] = drained
        return Processed(best["worker"], best["bare"])

    async def _observed(self, draining: Awaitable[tuple[int, float]]) -> Drained:
        """Watch who is busy while a backlog is drained; it returns how many jobs and seconds."""
        server_before, client_before = await self._server_cpu(), time.process_time()
        jobs, seconds = await draining
        client, server_after = time.process_time() - client_before, await self._server_cpu()
        server = (
            None
            if server_before is None or server_after is None
            else min((server_after - server_before) / seconds, 1.0)
        )
        return Drained(jobs / seconds, server, min(client / seconds, 1.0))

    async def _server_cpu(self) -> float | None:
        """Seconds that the server's main thread has worked; of all, where it is not told."""
        fields = parse_info(await self._server.call("INFO", "cpu"))
        for suffix in ("_main_thread", ""):
            user, system = (fields.get(f"used_cpu_{kind}{suffix}") for kind in ("user", "sys"))
            if user is not None and system is not None:
                return float(user) + float(system)
        return None

    async def _work(self, scratch: Scratch, *, records: bool) -> tuple[int, float]:
        """Drain a backlog with a worker; the time is from the first handler to the last job."""
        begun = 0.0
        enough: asyncio.TimerHandle | None = None

        async def handle(n: int, pad: str) -> None:
            nonlocal begun, enough
            if begun == 0.0:
                begun = time.perf_counter()
                if self._drain_for < math.inf:
                    enough = asyncio.get_running_loop().call_later(self._drain_for, worker.stop)

        worker = self._worker(scratch, handle, records=records, burst=True, expected=self._jobs)
        try:
            await worker.run()
        finally:
            if enough is not None:
                enough.cancel()
        if worker.settled != self._jobs and not worker.stopped:
            raise scratch.changed()
        return worker.settled, worker.settled_at - begun

    async def _loop(self, scratch: Scratch, *, records: bool) -> tuple[int, float]:
        """Drain a backlog with bare loops."""
        settled = 0
        begun = time.perf_counter()
        end = begun + self._drain_for

        async def loop(consumer: str) -> None:
            nonlocal settled
            read = (
                "XREADGROUP", "GROUP", GROUP, consumer, "COUNT", BATCH,
                "STREAMS", scratch.name, ">",
            )  # fmt: skip
            async with self._server.borrowed() as link:
                while time.perf_counter() < end and (reply := await link.call(*read)):
                    entries = reply[0][1]
                    if await link.run(_settle(scratch, consumer, entries, records=records)):
                        raise scratch.changed()
                    settled += len(entries)

        await _together(*(loop(f"loop-{number}") for number in range(LOOPS)))
        now = time.perf_counter()
        if settled != self._jobs and now < end:
            raise scratch.changed()
        return settled, now - begun

    async def _latencies(self, scratch: Scratch) -> list[float]:
        """Seconds from just before ``produce`` to the first line of the handler."""
        loop = asyncio.get_running_loop()
        entered: asyncio.Future[float] = loop.create_future()

        async def handle(n: int, pad: str) -> None:
            entered.set_result(time.perf_counter())

        worker = self._worker(scratch, handle, records=False)
        working = asyncio.ensure_future(worker.run())
        latencies: list[float] = []
        end = time.perf_counter() + LATENCIES_FOR
        try:
            # The first one waits for the worker's start.
            while len(latencies) < 2 or (
                len(latencies) <= min(LATENCIES, self._jobs) and time.perf_counter() < end
            ):
                await anyio.sleep(PAUSE)
                entered = loop.create_future()
                begun = time.perf_counter()
                with anyio.CancelScope(shield=True):
                    await self._producer.produce(scratch.name, TYPE, self._data)
                await asyncio.wait((working, entered), return_when=asyncio.FIRST_COMPLETED)
                if not entered.done():
                    working.result()  # why it has ended
                latencies.append(entered.result() - begun)
            worker.stop()
            await working
        finally:
            if not working.done():
                working.cancel()
                with anyio.CancelScope(shield=True):
                    await asyncio.wait((working,))
        return latencies[1:]

    def _worker(
        self, scratch: Scratch, handle: Callable[[int, str], Coroutine[Any, Any, None]], *,
        records: bool, burst: bool = False, expected: int | None = None,
    ) -> _Worker:  # fmt: skip
        settings = Settings(
            concurrency=self._concurrency, result_ttl=DEFAULTS.result_ttl if records else 0.0
        )
        return _Worker(self._server, scratch, handle, settings, burst=burst, expected=expected)

    @asynccontextmanager
    async def _scratch(self) -> AsyncIterator[Scratch]:
        """A stream for the length of a ``with`` block, removed whatever happens there."""
        scratch = Scratch(self._server)
        with anyio.CancelScope(shield=True):
            await scratch.create()
        try:
            yield scratch
        finally:
            with anyio.CancelScope(shield=True):
                try:
                    await scratch.remove()
                except BaseException:
                    self._tell(
                        f"The benchmark's stream {scratch.name} could not be removed: "
                        f"it expires within {EXPIRES / 60:g} min"
                    )
                    raise


class Scratch:
    """A stream with a random name, and all that belongs to it.

    Attributes:
        ids: of the jobs that were written in bulk; each may have a status record.
    """

    def __init__(self, server: Server) -> None:
        self.name = f"streamq-bench-{secrets.token_hex(8)}"
        self.keys = group_keys(self.name, GROUP)
        self.ids: list[str] = []
        self._server = server

    async def create(self) -> None:
        """Make the stream and its group, so that they expire."""
        replies = await ask(
            self._server,
            ("XGROUP", "CREATE", self.name, GROUP, "0", "MKSTREAM"),
            ("PEXPIRE", self.name, int(EXPIRES * 1000)),
        )
        _raise_first(replies)

    async def remove(self) -> None:
        """Remove every key that can have come into being."""
        # The stream goes first: without it, no script that may still arrive writes anything.
        keys, of_stream = self.keys, stream_keys(self.name)
        names = [
            self.name, keys.retry, keys.dlq, keys.sweep,
            of_stream.scheduled, of_stream.scheduled_jobs, *map(keys.job, self.ids),
        ]  # fmt: skip
        for start in range(0, len(names), REMOVED_AT_ONCE):
            await self._server.call("UNLINK", *names[start : start + REMOVED_AT_ONCE])

    def changed(self) -> StreamqError:
        """The error for jobs that were not processed once each."""
        return StreamqError(
            f"the benchmark's stream {self.name} was changed by somebody else: "
            "measure again while nobody does"
        )


class _Worker:
    """A worker that a lost server ends, and that knows when the last job was settled.

    Args:
        expected: how many jobs it stops after.
    """

    def __init__(
        self,
        server: Server,
        scratch: Scratch,
        handle: Callable[[int, str], Coroutine[Any, Any, None]],
        settings: Settings,
        *,
        burst: bool,
        expected: int | None,
    ) -> None:
        self.settled = 0
        self.settled_at = 0.0
        self.stopped = False
        self._expected = expected
        self._lost: Exception | None = None
        self._running = anyio.CancelScope()
        handlers = Handlers([make_handler(TYPE, handle)])
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

    def _observe(self, event: Event) -> None:
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


def _settle(
    scratch: Scratch, consumer: str, entries: Sequence[Any], *, records: bool
) -> scripts.Call:
    """Settle entries as succeeded, at their first delivery."""
    pairs: list[Arg] = []
    verdicts: list[Arg] = []
    keys: list[str] = []
    now = int(time.time() * 1000)
    for raw_id, (_, type, _, data) in entries:
        id = raw_id.decode()
        pairs += (id, 1)
        if records:
            kept = data if len(data) <= KEEP_DATA else b""
            verdicts += ("S", "succeeded", type, kept, now, now, b"", b"")
            keys.append(scratch.keys.job_prefix + id)
        else:
            verdicts.append("s")
    ttl = int(DEFAULTS.result_ttl * 1000)
    return scripts.settle(scratch.keys, consumer, ttl, len(entries), keys, pairs, verdicts)


async def _one_by_one(
    call: Callable[[], Awaitable[Any]], most: int, *, unless: Callable[[], bool] = lambda: False
) -> list[float]:
    """Seconds of each of several calls, one after the other."""
    seconds: list[float] = []
    clock = time.perf_counter
    now = clock()
    end = now + CALL_FOR
    while len(seconds) < most and now < end and not unless():
        await call()
        before, now = now, clock()
        seconds.append(now - before)
    return seconds


async def _together(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run all at once; if one fails, the others are cancelled."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _raise_first(replies: Sequence[Any]) -> None:
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
