"""Order per key: one job of a key at a time, in the order in which they were written."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import pytest
import redis

from streamq import App, Job, NewJob, Settings
from tests.servers import RedisServer
from tests.worker.support import AT_ONCE, QUIET, drain, running

pytestmark = pytest.mark.anyio


class Ledger:
    """What ran, by key; a second one of a key at the same time is noticed."""

    def __init__(self) -> None:
        self.ran: dict[str, list[int]] = defaultdict(list)
        self._running: set[str] = set()

    async def run(self, job: Job, n: int, pause: float = 0.0) -> None:
        assert job.key is not None
        assert job.key not in self._running
        self._running.add(job.key)
        await asyncio.sleep(pause)
        self._running.discard(job.key)
        self.ran[job.key].append(n)


def jobs(keys: int, each: int) -> list[NewJob]:
    return [NewJob("a", {"n": n}, key=f"k{k}") for n in range(each) for k in range(keys)]


async def test_jobs_of_a_key_run_one_by_one_in_order(app: App, client: redis.Redis) -> None:
    group, ledger = app.group("g", order=True), Ledger()

    @group.handler("a")
    async def a(job: Job, n: int) -> None:
        await ledger.run(job, n)

    await app.produce_many(jobs(keys=7, each=50))
    await drain(app)
    assert ledger.ran == {f"k{k}": list(range(50)) for k in range(7)}
    assert client.keys("*") == ["jobs"]
    assert client.xlen("jobs") == 0


async def test_order_holds_through_retries(app: App) -> None:
    group, ledger = app.group("g", order=True, retries=3, backoff=AT_ONCE), Ledger()

    @group.handler("a")
    async def a(job: Job, n: int) -> None:
        if n % 3 == job.attempt:
            raise ValueError("not yet")
        await ledger.run(job, n)

    await app.produce_many(jobs(keys=3, each=20))
    await drain(app)
    assert ledger.ran == {f"k{k}": list(range(20)) for k in range(3)}


async def test_several_workers_share_the_keys(server: RedisServer, app: App) -> None:
    ledger = Ledger()
    group = app.group("g", order=True)

    @group.handler("a")
    async def a(job: Job, n: int) -> None:
        await ledger.run(job, n, 0.001)

    await app.produce_many(jobs(keys=10, each=40))
    async with asyncio.TaskGroup() as workers:
        for _ in range(4):
            workers.create_task(app.worker(settings=QUIET, burst=True).run())
    assert ledger.ran == {f"k{k}": list(range(40)) for k in range(10)}


async def test_jobs_without_a_key_wait_for_no_other(app: App) -> None:
    group = app.group("g", order=True)
    both = asyncio.Barrier(2)

    @group.handler("a")
    async def a() -> None:
        await both.wait()

    await app.produce_many([("a", {}), ("a", {})])
    await drain(app, settings=Settings(result_ttl=0))


async def test_a_key_that_waits_does_not_hold_up_another(app: App) -> None:
    group, go_on, order = app.group("g", order=True), asyncio.Event(), list[int]()

    @group.handler("a")
    async def a(job: Job, n: int) -> None:
        if n == 0:
            await go_on.wait()
        order.append(n)
        if n == 3:
            go_on.set()

    await app.produce_many(
        [NewJob("a", {"n": n}, key=key) for n, key in enumerate(["x", "x", "x", "y"])]
    )
    async with running(app, settings=QUIET):
        await go_on.wait()
    await drain(app)
    assert order == [3, 0, 1, 2]
