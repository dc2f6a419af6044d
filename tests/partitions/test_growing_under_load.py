"""A stream that grows twice under load, while workers and whoever lets it grow are killed."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest
import redis

from streamq import App, NewJob, Partitioned
from tests.servers import RedisServer

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

KEYS = 20


class Processes:
    """The processes of one test."""

    def __init__(self, url: str, log: Path) -> None:
        self._url, self._log = url, log
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, what: str, *args: object) -> subprocess.Popen[bytes]:
        """Start one; see :mod:`tests.partitions.work`."""
        command = [sys.executable, "-m", "tests.partitions.work", what, self._url]
        self._started.append(subprocess.Popen([*command, *map(str, args)]))
        return self._started[-1]

    def worker(self, *args: object) -> subprocess.Popen[bytes]:
        """Start a worker."""
        return self.start("worker", self._log, *args)

    def close(self) -> None:
        """End all that still run."""
        for process in self._started:
            process.kill()
            process.wait()


@pytest.mark.parametrize("seed", [1, 2])
async def test_nothing_is_lost_and_no_key_out_of_order(
    server: RedisServer, client: redis.Redis, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    log = tmp_path / "begun"
    log.touch()
    processes = Processes(server.unix_url, log)
    counts: Counter[str] = Counter()
    grown = asyncio.Event()

    def next_of(key: str) -> NewJob:
        counts[key] += 1
        return NewJob("t", {"n": counts[key] - 1}, key=key)

    async def produce(app: App) -> None:
        while not grown.is_set() or sum(counts.values()) < 1500:
            keys = [f"k{rng.randrange(KEYS)}" for _ in range(rng.choice([1, 1, 10]))]
            if len(keys) == 1:
                job = next_of(keys[0])
                await app.produce(job.type, job.data, key=job.key)
            else:
                await app.produce_many([next_of(key) for key in keys])
            await asyncio.sleep(0.004)

    async def let_grow() -> None:
        for to in (8, 16):
            await until(lambda to=to: sum(counts.values()) >= 50 * to)
            for _ in range(3):
                killed = processes.start("grow", to, rng.randrange(4, 40))
                await asyncio.to_thread(killed.wait)
            ended = processes.start("grow", to, 10**6)
            assert await asyncio.to_thread(ended.wait) == 0
        grown.set()

    async def kill(workers: list[subprocess.Popen[bytes]]) -> None:
        while not grown.is_set():
            begun = begun_in(log)
            await until(lambda begun=begun: grown.is_set() or begun_in(log) > begun + 150)
            place = rng.randrange(len(workers))
            workers[place].kill()
            workers[place].wait()
            workers[place] = processes.worker()

    try:
        workers = [processes.worker() for _ in range(2)]
        async with App(server.unix_url, streams={"jobs": Partitioned(4)}) as app:
            await asyncio.gather(produce(app), let_grow(), kill(workers))
            last = processes.worker("burst")
            assert await asyncio.to_thread(last.wait, 60) == 0
            assert (await app.admin.stream("jobs")).length == 0
    finally:
        processes.close()

    begun: dict[str, list[int]] = defaultdict(list)
    places = set()
    for line in log.read_text().splitlines():
        key, n, partition = line.split()
        begun[key].append(int(n))
        places.add(partition)
    # A job of a worker that was killed is begun again, and before the next one of its key.
    assert {key: numbers for key, numbers in begun.items() if numbers != sorted(numbers)} == {}
    assert {key: set(numbers) for key, numbers in begun.items()} == {
        key: {*range(count)} for key, count in counts.items()
    }
    assert client.hget("{jobs}:settings", "partitions") == "16"
    assert len(places) > 8


def begun_in(log: Path) -> int:
    """How many jobs have been begun."""
    return log.read_bytes().count(b"\n")


async def until(condition: object, seconds: float = 60) -> None:
    """Wait for what other processes do."""
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.02)
