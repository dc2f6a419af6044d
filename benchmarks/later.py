"""Jobs for later: how late they reach the stream, what they take while they wait, and for how long
the server does nothing else when very many are due at one moment.

An idle worker looks for what is due. `late` is the time of an entry, by the server's clock, minus
the time at which its job was due: delays of 0.05 s to 3 s, once one job after the other with
nothing else scheduled, once many together. `waiting` is the growth of the server's `used_memory`
for each scheduled job. For `PING`, jobs are due at the same millisecond, and another connection
sends a PING every millisecond until all are in the stream, while the worker also reads and settles
them. `promote` is the script that writes them, in the server's own slow log: it has less of what
else the machine is doing.
"""

import asyncio
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from harness.measure import Measurement, percentile
from harness.server import Server, client_cores, pinned
from harness.session import Session, parser, run
from harness.systems import SYSTEMS, Description, System

from streamq import App
from streamq.lua import load
from streamq.wire.keys import stream_keys

METRICS = {
    "late alone, p50": "half of the jobs reached the stream within, nothing else being scheduled",
    "late alone, p99": "99 of 100 did",
    "late alone, max": "all did",
    "late among others, p50": "half of the jobs reached the stream within, many being scheduled",
    "late among others, p99": "99 of 100 did",
    "late among others, max": "all did",
    "waiting": "memory of the server for each job that is scheduled",
    "PING idle": "the longest that a PING waits while nothing is due",
    "PING": "the longest that a PING waits while jobs are due at one moment",
    "PING p99": "99 of 100 of these waited no longer",
    "promote p50": "half of the runs of the script that writes them took no longer",
    "promote": "the longest of them",
    "due to stream": "from that moment until the last of them is in the stream",
}

ALONE, TOGETHER = 40, 400
DELAYS = 0.05, 3.0
SCHEDULED = 1_000_000
AT_ONCE = 100_000
KEYS = stream_keys("jobs")


@contextmanager
def idle_worker(server: Server) -> Iterator[None]:
    """A worker in a process of its own, which prints what it gets to nowhere."""
    command = [
        sys.executable, "-m", "streamq", "consume", "--url", server.url, "--metrics-port", "0",
    ]  # fmt: skip
    worker = subprocess.Popen(
        pinned(command, client_cores()), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not server.client.exists("jobs"):  # it makes its group, and so the stream
            time.sleep(0.01)
        yield
    finally:
        worker.kill()
        worker.wait()


def lateness(server: Server, names: Sequence[str], due: Sequence[float]) -> list[float]:
    """How late each was, in ms, by what its name leads to."""
    entries: list[Any] = server.client.mget([KEYS.schedule_id(name) for name in names])
    return [int(id.partition("-")[0]) - when for id, when in zip(entries, due, strict=True)]


async def scheduled(app: App, delay: float) -> tuple[str, float]:
    """Schedule one; its name, and when it is due in ms."""
    job = await app.produce("t", {"n": 1}, delay=delay)
    assert job.scheduled_for is not None
    return job.id, round(job.scheduled_for.timestamp() * 1000)


def measure_late(server: Server, jobs: int, *, alone: bool) -> list[float]:
    chosen = random.Random(7)
    found: list[tuple[str, float]] = []
    with asyncio.Runner() as runner:
        app = App(server.url)
        for _ in range(jobs):
            found.append(runner.run(scheduled(app, chosen.uniform(*DELAYS))))
            if alone:
                wait_until_written(server)
                time.sleep(chosen.uniform(0.0, 0.3))
            else:
                time.sleep(0.01)
        runner.run(app.close())
    wait_until_written(server)
    names, due = zip(*found, strict=True)
    return lateness(server, names, due)


def wait_until_written(server: Server) -> None:
    """Ask so seldom that the asking does not keep the server awake."""
    while server.client.zcard(KEYS.scheduled):
        time.sleep(0.3)


async def schedule_many(server: Server, jobs: int, delay: float) -> None:
    async with App(server.url) as app:
        pairs = (("t", {"n": 1, "pad": "x" * 80}) for _ in range(jobs))
        await app.produce_many(pairs, delay=delay)


def pings(server: Server, done: threading.Event) -> list[float]:
    """All round trips until it is done, in ms."""
    found = []
    while not done.is_set():
        begun = time.perf_counter()
        server.client.ping()
        found.append(1000 * (time.perf_counter() - begun))
        time.sleep(0.001)  # the worker is to have the machine, too
    return found


def measure_at_once(server: Server, jobs: int) -> Iterator[tuple[str, float]]:
    """All are due at one moment, which is brought about when they are all there."""
    asyncio.run(schedule_many(server, jobs, 3600))
    names: list[Any] = server.client.zrange(KEYS.scheduled, 0, -1)
    now: Any = server.client.time()
    moment = now[0] * 1000 + 3000 + jobs // 50
    pipe = server.client.pipeline(transaction=False)
    for start in range(0, len(names), 1000):
        pipe.zadd(KEYS.scheduled, dict.fromkeys(names[start : start + 1000], moment))
    pipe.execute()
    server.client.config_set("slowlog-log-slower-than", 10)
    server.client.config_set("slowlog-max-len", 100_000)
    quiet, done = threading.Event(), threading.Event()
    threading.Timer(1.0, quiet.set).start()
    yield "PING idle", max(pings(server, quiet))
    server.client.slowlog_reset()

    def wait() -> None:
        wait_until_written(server)
        done.set()

    threading.Thread(target=wait, daemon=True).start()
    waited = pings(server, done)
    yield "PING", max(waited)
    yield "PING p99", percentile(waited, 99)
    digest = load("promote").sha.encode()
    rows: list[Any] = server.client.slowlog_get(100_000)
    runs = [row["duration"] / 1000 for row in rows if digest in row["command"]]
    yield "promote p50", percentile(runs, 50)
    yield "promote", max(runs)
    last = server.client.get(KEYS.schedule_id(names[-1]))
    yield "due to stream", int(str(last).partition("-")[0]) - moment


def measure(session: Session, system: System, description: Description) -> Iterator[Measurement]:
    for place, number in (("alone", ALONE), ("among others", TOGETHER)):
        jobs = max(number // 10, 5) if session.quick else number
        with session.server() as server, idle_worker(server):
            late = measure_late(server, jobs, alone=place == "alone")
        for name, percent in (("p50", 50), ("p99", 99), ("max", 100)):
            value = percentile(late, percent)
            yield Measurement(system.name, f"late {place}, {name}", value, "ms", jobs)
    jobs = session.jobs(SCHEDULED)
    with session.server() as server:
        asyncio.run(schedule_many(server, 1, 3600))
        memory = server.used_memory()
        asyncio.run(schedule_many(server, jobs, 3600))
        waiting = (server.used_memory() - memory) / jobs
    yield Measurement(system.name, "waiting", waiting, "bytes", jobs)
    jobs = AT_ONCE // 10 if session.quick else AT_ONCE
    with session.server() as server, idle_worker(server):
        for metric, value in measure_at_once(server, jobs):
            yield Measurement(system.name, metric, value, "ms", jobs)


def main(words: Sequence[str] | None = None) -> int:
    arguments = parser(
        "How late jobs for later are, what they take, and for how long they hold the server up.",
        "python benchmarks/later.py --rounds 1 --json later.json",
        systems=None,
        rounds=1,
    ).parse_args(words)
    chosen = [SYSTEMS["streamq"]]
    return run(arguments, "later", METRICS, measure, seconds=180, chosen=chosen)


if __name__ == "__main__":
    sys.exit(main())
