"""The interface of an adapter, and what all adapters share.

An adapter runs in its peer's own environment, so this module imports the standard library only.
The harness starts it as `python -m peers.run PEER VERB` and reads JSON lines from its output:

    describe   {"event": "described", "package", "version", "settings", "jobs", "bulk_jobs",
                "remaining"}
    enqueue    {"event": "enqueued", "seconds"}
    drip       {"event": "dripped", "jobs", "seconds"}
    work       {"event": "started"}  the first handler was called
               {"event": "handled", "first", "calls", "exact", "peak_rss", "latencies"}
               the last expected call came, or SIGTERM before it; the worker goes on until killed

Times are of the system's monotonic clock, in nanoseconds, which all processes share.
"""

import asyncio
import importlib.metadata
import itertools
import json
import re
import resource
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypedDict

CLOCK_DIGITS = 20


class Payload(TypedDict):
    """The data of every job of every system: `n` numbers it, `pad` fills it up to its size."""

    n: int
    pad: str


class Adapter(ABC):
    """How one system enqueues and works.

    The class attributes describe it: the distribution whose version is reported, the settings
    that were chosen, how many jobs give a run of some seconds, and the commands whose answers
    add up to the number of jobs that are queued or unacknowledged.
    """

    package: str
    settings: str
    jobs: int
    bulk_jobs: int
    remaining: Sequence[Sequence[str]]

    def __init__(self, url: str, options: dict[str, str]) -> None:
        self.url = url
        self.options = options

    def number(self, option: str, default: int) -> int:
        """A setting that `--set OPTION=N` may override, to look for a better one."""
        return int(self.options.get(option, default))

    @property
    def version(self) -> str:
        return importlib.metadata.version(self.package)

    @abstractmethod
    def enqueue(self, payloads: Sequence[Payload], timer: "Timer") -> None:
        """Enqueue all, by the fastest way that the system offers, inside `with timer:`.

        Connecting stays outside. Inside ends when the server has answered for every job.
        """

    @abstractmethod
    def drip(self, pace: "Pace") -> None:
        """Enqueue each payload that `pace` yields, and wait for the answer before the next."""

    @abstractmethod
    def work(self) -> None:
        """Run one worker whose handler calls `tally(n, pad)`, until the process is killed."""


class Turns(NamedTuple):
    """Who enqueues when: `length` jobs a turn, and this process takes turn `mine` of `among`."""

    start_ns: int
    length: int
    mine: int
    among: int

    def place(self, number: int) -> int:
        """The place of this process's job of this number among the jobs of all."""
        turn, within = divmod(number, self.length)
        return (turn * self.among + self.mine) * self.length + within


class Timer:
    """Seconds spent inside the `with` block."""

    seconds: float = 0.0

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.seconds = time.perf_counter() - self._start


class Pace:
    """Payloads at a steady rate, each stamped with the time at which it is handed out.

    The rate is kept by the clock, not by the answers: a slow answer does not slow it down.
    Iterates in threads (`for`) and in event loops (`async for`) alike. With `turns`, several
    processes take turns, by the clock that they share.
    """

    def __init__(
        self,
        jobs: int,
        seconds: float,
        interval: float,
        first: int,
        turns: "Turns | None" = None,
    ) -> None:
        self.sent = 0
        self.seconds = 0.0
        self._jobs = jobs
        self._limit = seconds
        self._interval = interval
        self._first = first
        self._turns = turns or Turns(0, jobs, 0, 1)
        self._start = 0.0

    def __iter__(self) -> Iterator[Payload]:
        while (pause := self._pause()) is not None:
            if pause > 0:
                time.sleep(pause)
            yield self._next()

    async def __aiter__(self) -> AsyncIterator[Payload]:
        while (pause := self._pause()) is not None:
            if pause > 0:
                await asyncio.sleep(pause)
            yield self._next()

    def _pause(self) -> float | None:
        """Seconds until the next payload, or None after the last."""
        now = time.monotonic()
        if self.sent == 0:
            self._start = self._turns.start_ns / 1e9 or now
        self.seconds = now - self._start
        if self.sent >= self._jobs or self.seconds >= self._limit:
            return None
        return self._start + self._turns.place(self.sent) * self._interval - now

    def _next(self) -> Payload:
        n = self._first + self.sent
        self.sent += 1
        return payload(n, stamp=time.monotonic_ns())


class Tally:
    """Counts handler calls, tells the jobs apart, and reports when the last call came.

    Called from event loops and from threads: `next` on a counter is atomic.
    """

    def expect(self, jobs: int, each: int = 1, latency: bool = False) -> None:
        """Expect every job `each` times; with `latency`, read the time stamps in their pads."""
        self._each = each
        self._seen = bytearray(jobs)
        self._counter = itertools.count(1)
        self._last = jobs * each
        self._calls = 0
        self._first = 0
        self._latencies: list[float] | None = [] if latency else None

    def __call__(self, n: int, pad: str) -> None:
        self._calls = call = next(self._counter)
        if call == 1:
            self._first = time.monotonic_ns()
            emit("started")
        if self._latencies is not None:
            self._latencies.append((time.monotonic_ns() - int(pad[:CLOCK_DIGITS])) / 1e9)
        self._seen[n] += 1
        if call == self._last:
            self.report()

    def report(self) -> None:
        emit(
            "handled",
            first=self._first,
            calls=self._calls,
            exact=self._seen.count(self._each),
            peak_rss=peak_rss(),
            latencies=self._latencies or [],
        )


tally = Tally()


def payload(n: int, size: int = 100, stamp: int = 0) -> Payload:
    """A payload of `size` bytes as compact JSON, `stamp` being the first digits of its pad."""
    clock = f"{stamp:0{CLOCK_DIGITS}d}"
    room = size - len(f'{{"n":{n},"pad":""}}')
    return {"n": n, "pad": clock.ljust(room, "x")}


def emit(event: str, **fields: Any) -> None:
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


def peak_rss() -> int:
    """Bytes of memory that this process held at its peak."""
    status = Path("/proc/self/status")
    if status.exists():
        # Linux lets `ru_maxrss` begin with what the process that started this one held.
        kib = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE)
        if kib is not None:
            return int(kib[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run in uvloop where the environment has it."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main)


async def in_parallel(
    call: Callable[[Payload], Awaitable[Any]], payloads: Sequence[Payload], width: int
) -> None:
    """Call for every payload with `width` calls under way: for systems without a bulk interface."""
    left = iter(payloads)

    async def caller() -> None:
        for item in left:
            await call(item)

    await asyncio.gather(*(caller() for _ in range(width)))
