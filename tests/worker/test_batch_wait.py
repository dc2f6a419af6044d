"""Batches that wait for more jobs, and batches of one order key."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections import Counter
from typing import Any

import pytest
import redis

from streamq import App, Job, Settings, Worker
from streamq.signals import LeaseLost, ServerBack, ServerLost
from tests.lua.support import Group
from tests.servers import RedisServer
from tests.worker.support import (
    AT_ONCE,
    QUIET,
    Outcome,
    Watch,
    drain,
    eventually,
    running,
    together,
)

pytestmark = pytest.mark.anyio

FOR_EVER = 3600.0
"""A wait that no test sees the end of: only a full batch is handed over."""

ONE = Settings(concurrency=1, result_ttl=0)


class Calls(list[list[Any]]):
    """What the calls of a batch handler were given, and a way to wait for so many of them."""

    def __init__(self) -> None:
        self._news = asyncio.Event()

    def note(self, call: list[Any]) -> None:
        self.append(call)
        self._news.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self) < count:
                self._news.clear()
                await self._news.wait()


def numbers(jobs: list[Job]) -> list[int]:
    return [job.data["n"] for job in jobs]


def noting(app: App, **rules: Any) -> Calls:
    """A handler of the type ``t`` whose calls are noted as lists of numbers."""
    calls = Calls()

    @app.handler("t", **rules)
    async def handle(jobs: list[Job]) -> None:
        calls.note(numbers(jobs))

    return calls


async def produce(app: App, *ns: int, **options: Any) -> None:
    for n in ns:
        await app.produce("t", {"n": n}, **options)


async def gathered(worker: Worker, count: int) -> None:
    await eventually(lambda: sum(c.runners.gathered for c in worker.consumers) == count)


async def test_a_batch_is_called_when_it_is_full(app: App) -> None:
    calls = noting(app, batch=4, batch_wait=FOR_EVER)
    async with running(app, settings=QUIET) as worker:
        for n in range(3):
            await produce(app, n)
            await gathered(worker, n + 1)
        assert calls == []
        await produce(app, 3)
        await calls.until(1)
        assert calls == [[0, 1, 2, 3]]


async def test_a_batch_is_called_when_its_first_job_has_waited(app: App) -> None:
    calls = noting(app, batch=100, batch_wait=0.2)
    async with running(app, settings=QUIET):
        await produce(app, 0)
        await calls.until(1)
        await produce(app, 1)
        await calls.until(2)
    assert calls == [[0], [1]]


async def test_what_fills_no_whole_batch_waits(app: App, client: redis.Redis) -> None:
    calls = noting(app, batch=300, batch_wait=FOR_EVER)
    await app.produce_many(("t", {"n": n}) for n in range(1000))
    async with running(app, settings=QUIET) as worker:
        await calls.until(3)
        await gathered(worker, 100)
        assert [len(call) for call in calls] == [300, 300, 300]
        assert [n for call in calls for n in call] == list(range(900))
        await eventually(lambda: client.xlen("jobs") == 100)


async def test_slow_batches_leave_room_for_the_next(app: App) -> None:
    """Those that run take none of the room that others need to gather."""
    begun: list[int] = []
    go_on, all_run = asyncio.Event(), asyncio.Event()

    @app.handler("t", batch=500, batch_wait=FOR_EVER)
    async def handle(jobs: list[Job]) -> None:
        begun.append(len(jobs))
        if len(begun) == 4:
            all_run.set()
        await together(go_on)

    await app.produce_many(("t", {"n": n}) for n in range(2000))
    async with running(app, settings=Settings(concurrency=4, prefetch=0, result_ttl=0)):
        await together(all_run)
        go_on.set()
    assert begun == [500] * 4


@pytest.mark.parametrize("retries", [0, 3])
async def test_there_is_room_for_a_batch_whatever_the_settings(app: App, retries: int) -> None:
    calls = noting(app, batch=50, batch_wait=FOR_EVER, retries=retries)
    await app.produce_many(("t", {"n": n}) for n in range(100))
    async with running(app, settings=Settings(concurrency=1, prefetch=0, result_ttl=0)):
        await calls.until(2)
    assert [len(call) for call in calls] == [50, 50]


async def test_a_batch_that_gathers_keeps_no_runner_from_others(app: App) -> None:
    calls = noting(app, batch=2, batch_wait=FOR_EVER)
    done = asyncio.Event()
    app.handler("other")(done.set)
    async with running(app, settings=ONE) as worker:
        await produce(app, 0)
        await gathered(worker, 1)
        await app.produce("other")
        await together(done)
        assert calls == []
        await produce(app, 1)
        await calls.until(1)


async def test_each_type_has_a_batch_of_its_own(app: App) -> None:
    got: dict[str, list[int]] = {}
    both = asyncio.Event()

    async def handle(jobs: list[Job]) -> None:
        got[jobs[0].type] = numbers(jobs)
        if len(got) == 2:
            both.set()

    for type in ("a", "b"):
        app.handler(type, batch=3, batch_wait=FOR_EVER)(handle)
    async with running(app, settings=ONE):
        for n in range(3):
            await app.produce("a", {"n": n})
            await app.produce("b", {"n": 10 + n})
        await together(both)
    assert got == {"a": [0, 1, 2], "b": [10, 11, 12]}


async def test_in_threads_and_processes(app: App) -> None:
    seen: list[tuple[str, int]] = []
    here = threading.get_ident()

    @app.handler("thread", batch=3, batch_wait=FOR_EVER)
    def in_thread(jobs: list[Job]) -> None:
        assert threading.get_ident() != here
        for job in jobs:
            job.emit("seen", {"where": "thread", "n": len(jobs)})

    app.handler("process", batch=3, batch_wait=FOR_EVER, process=True)(in_process)

    @app.handler("seen")
    async def note(where: str, n: int) -> None:
        seen.append((where, n))

    watch = Watch()
    async with running(app, settings=QUIET, observers=[watch]):
        for type in ("thread", "process"):
            await app.produce_many((type, {"pid": os.getpid()}) for _ in range(3))
        await watch.until(lambda: len(seen) == 6)
    assert Counter(seen) == {("thread", 3): 3, ("process", 3): 3}


def in_process(jobs: list[Job]) -> None:
    assert all(job.data["pid"] != os.getpid() for job in jobs)
    for job in jobs:
        job.emit("seen", {"where": "process", "n": len(jobs)})


async def test_the_timeout_counts_from_the_call(app: App) -> None:
    finished = asyncio.Event()

    @app.handler("t", batch=2, batch_wait=FOR_EVER, timeout=0.2, retries=0)
    async def handle(jobs: list[Job]) -> None:
        if jobs[0].data["n"] == 0:
            finished.set()
        else:
            await asyncio.sleep(FOR_EVER)

    watch = Watch()
    async with running(app, settings=QUIET, observers=[watch]) as worker:
        await produce(app, 0)
        await gathered(worker, 1)
        await asyncio.sleep(0.3)  # longer than the timeout is what is tested
        await produce(app, 1)
        await together(finished)
        await produce(app, 2, 3)
        await watch.until(lambda: len(watch.verdicts) == 4)
    assert watch.outcomes == [Outcome.SUCCEEDED] * 2 + [Outcome.DEAD] * 2


async def test_a_batch_is_in_the_order_of_the_entries(app: App, client: redis.Redis) -> None:
    """Also where a retry comes back after later entries have been read."""
    calls = Calls()

    @app.handler("t", batch=3, batch_wait=FOR_EVER)
    async def handle(jobs: list[Job]) -> None:
        calls.note([(job.id, job.attempt) for job in jobs])

    ids = [(await app.produce("t", {"n": n})).id for n in range(3)]
    stalled = Group(client, "default")
    stalled.read("dead worker", count=1)
    async with running(app, settings=Settings(lease=0.3, result_ttl=0)):
        await calls.until(1)
    assert calls == [[(ids[0], 2), (ids[1], 1), (ids[2], 1)]]


async def test_a_failed_batch_is_gathered_again(app: App) -> None:
    attempts: list[list[int]] = []

    @app.handler("t", batch=3, batch_wait=FOR_EVER, backoff=AT_ONCE)
    async def handle(jobs: list[Job]) -> None:
        attempts.append([job.attempt for job in jobs])
        if len(attempts) == 1:
            raise ValueError("all of them")

    watch = Watch()
    async with running(app, settings=QUIET, observers=[watch]):
        await produce(app, 0, 1, 2)
        await watch.until(lambda: len(watch.verdicts) == 6)
    assert attempts == [[1, 1, 1], [2, 2, 2]]


# -- by key -------------------------------------------------------------------


async def test_all_jobs_of_a_call_have_one_key(app: App) -> None:
    calls = Calls()

    @app.handler("t", batch=3, batch_wait=FOR_EVER, batch_by_key=True)
    async def handle(jobs: list[Job]) -> None:
        calls.note([(job.key, job.data["n"]) for job in jobs])

    async with running(app, settings=QUIET):
        for n in range(9):
            await produce(app, n, key=("a", "b", None)[n % 3])
        await calls.until(3)
    assert sorted(calls, key=str) == [
        [("a", 0), ("a", 3), ("a", 6)],
        [("b", 1), ("b", 4), ("b", 7)],
        [(None, 2), (None, 5), (None, 8)],
    ]


async def test_by_key_without_a_wait_takes_what_is_there(app: App) -> None:
    calls = Calls()

    @app.handler("t", batch=100, batch_by_key=True)
    async def handle(jobs: list[Job]) -> None:
        assert len({job.key for job in jobs}) == 1
        calls.note(numbers(jobs))

    for n in range(40):
        await produce(app, n, key=str(n % 4))
    await drain(app, settings=ONE)
    assert sorted(n for call in calls for n in call) == list(range(40))
    assert len(calls) < 40
    assert all(call == sorted(call) for call in calls)


async def test_more_keys_than_there_is_room_for(app: App) -> None:
    """The oldest batch is handed over instead of nothing at all being read."""
    calls = noting(app, batch=3, batch_wait=FOR_EVER, batch_by_key=True)
    async with running(app, settings=Settings(concurrency=1, prefetch=5, result_ttl=0)) as worker:
        for n in range(5):
            await produce(app, n, key=f"k{n}")
        await calls.until(1)
        await gathered(worker, 4)
        await produce(app, 5, key="k1")
        await calls.until(2)
        await gathered(worker, 3)
    assert calls == [[0], [1, 5]]


# -- what is not run ----------------------------------------------------------


async def test_what_is_settled_without_being_run_enters_no_batch(app: App) -> None:
    calls = noting(app, batch=3, batch_wait=FOR_EVER)
    watch = Watch()
    await produce(app, 0)
    await produce(app, 1, expires=0)
    await app.produce("unknown")
    await produce(app, 2, 3, key="k")
    async with running(app, settings=ONE, observers=[watch]):
        await calls.until(1)
        await watch.until(lambda: len(watch.verdicts) == 5)
    assert calls == [[0, 2, 3]]
    assert Counter(watch.outcomes) == {
        Outcome.SUCCEEDED: 3, Outcome.EXPIRED: 1, Outcome.DEAD: 1,
    }  # fmt: skip


async def test_a_job_that_expires_while_it_waits_is_not_run(app: App) -> None:
    calls = noting(app, batch=2, batch_wait=FOR_EVER)
    watch = Watch()
    async with running(app, settings=QUIET, observers=[watch]) as worker:
        await produce(app, 0, expires=0.2)
        await gathered(worker, 1)
        await asyncio.sleep(0.3)  # being too late is what is tested
        await produce(app, 1)
        await watch.until(lambda: len(watch.verdicts) == 2)
    assert calls == [[1]]
    assert sorted(outcome.value for outcome in watch.outcomes) == ["expired", "succeeded"]


# -- the end ------------------------------------------------------------------


async def test_a_burst_waits_for_nothing_that_cannot_come(app: App, client: redis.Redis) -> None:
    calls = noting(app, batch=100, batch_wait=FOR_EVER)
    await app.produce_many(("t", {"n": n}) for n in range(250))
    watch = await drain(app)
    assert [len(call) for call in calls] == [100, 100, 50]
    assert watch.outcomes == [Outcome.SUCCEEDED] * 250
    assert client.keys("*") == ["jobs"]


async def test_in_a_burst_a_running_job_may_still_emit_to_the_batch(app: App) -> None:
    calls = noting(app, batch=100, batch_wait=FOR_EVER)

    @app.handler("first")
    async def first(job: Job, n: int) -> None:
        job.emit("t", {"n": n})
        if n < 5:
            job.emit("first", {"n": n + 1})

    await app.produce("first", {"n": 0})
    await drain(app)
    assert calls == [[0, 1, 2, 3, 4, 5]]


async def test_the_last_of_max_jobs_waits_for_no_more(app: App, client: redis.Redis) -> None:
    calls = noting(app, batch=100, batch_wait=FOR_EVER)
    await app.produce_many(("t", {"n": n}) for n in range(10))
    await drain(app, burst=False, max_jobs=7)
    assert [n for call in calls for n in call] == list(range(7))
    assert client.xlen("jobs") == 3


async def test_at_a_stop_what_gathers_is_given_back(app: App, client: redis.Redis) -> None:
    calls = noting(app, batch=100, batch_wait=FOR_EVER)
    watch = Watch()
    await app.produce_many(("t", {"n": n}) for n in range(10))
    async with running(app, settings=QUIET, observers=[watch]) as worker:
        await gathered(worker, 10)
    assert calls == []
    assert watch.outcomes == [Outcome.RELEASED] * 10
    assert client.xinfo_consumers("jobs", "default")[0]["name"] == "~retry"

    attempts: list[int] = []
    again = App(app.url)

    @again.handler("t")
    async def handle(job: Job) -> None:
        attempts.append(job.attempt)

    async with again:
        await drain(again)
    assert attempts == [1] * 10


async def test_a_handed_over_batch_that_no_runner_has_begun_is_given_back(app: App) -> None:
    begun = asyncio.Event()

    @app.handler("busy")
    async def busy() -> None:
        begun.set()
        await asyncio.sleep(FOR_EVER)

    calls = noting(app, batch=100, batch_wait=0.001)
    watch = Watch()
    settings = Settings(concurrency=1, grace=0, result_ttl=0)
    async with running(app, settings=settings, observers=[watch]) as worker:
        await app.produce("busy")
        await together(begun)
        await produce(app, 0, 1)
        await eventually(lambda: len(worker.consumers[0].in_flight) == 3)
    assert calls == []
    assert watch.outcomes == [Outcome.RELEASED] * 3


# -- faults -------------------------------------------------------------------


async def test_what_gathers_keeps_its_lease(app: App) -> None:
    calls = noting(app, batch=2, batch_wait=FOR_EVER)
    watch = Watch()
    settings = Settings(lease=0.2, result_ttl=0)
    async with running(app, settings=settings, observers=[watch]) as worker:
        await produce(app, 0)
        await gathered(worker, 1)
        async with running(app, settings=settings, observers=[watch]):
            await asyncio.sleep(0.5)  # longer than the lease is what is tested
        await produce(app, 1)
        await calls.until(1)
    assert calls == [[0, 1]]
    assert watch.of(LeaseLost) == []


async def test_a_job_that_was_taken_away_leaves_its_batch(app: App, client: redis.Redis) -> None:
    calls = noting(app, batch=3, batch_wait=FOR_EVER)
    watch = Watch()
    settings = Settings(lease=0.2, result_ttl=0)
    async with running(app, settings=settings, observers=[watch]) as worker:
        [first, _] = [(await app.produce("t", {"n": n})).id for n in range(2)]
        await gathered(worker, 2)
        client.xclaim("jobs", "default", "somebody else", 0, [first])
        await watch.until(lambda: watch.of(LeaseLost))
        client.xack("jobs", "default", first)
        await produce(app, 2)
        await calls.until(1)
    assert calls == [[1, 2]]


VICTIM = """
import asyncio, sys
from streamq import App, Settings
app = App(sys.argv[1])
@app.handler("t", batch=5, batch_wait=3600)
async def handle(jobs): print("called", flush=True)
asyncio.run(app.worker(settings=Settings(lease=0.3, result_ttl=0)).run())
"""


async def test_a_worker_that_is_killed_while_it_gathers(
    app: App, client: redis.Redis, server: RedisServer
) -> None:
    """Its jobs come back by the lease, and another worker's batch has them."""
    calls = Calls()

    @app.handler("t", batch=5, batch_wait=FOR_EVER)
    async def handle(jobs: list[Job]) -> None:
        calls.note([(job.data["n"], job.attempt) for job in jobs])

    await produce(app, 0, 1, 2)
    victim = await asyncio.create_subprocess_exec(
        sys.executable, "-c", VICTIM, server.unix_url, stdout=asyncio.subprocess.PIPE
    )
    await eventually(lambda: client.exists("jobs") and pending(client) == 3)
    victim.kill()
    printed, _ = await victim.communicate()
    assert printed == b""
    async with running(app, settings=Settings(lease=0.3, result_ttl=0)):
        await produce(app, 3, 4)
        await calls.until(1)
    assert calls == [[(0, 2), (1, 2), (2, 2), (3, 1), (4, 1)]]


def pending(client: redis.Redis) -> int:
    return sum(group["pending"] for group in client.xinfo_groups("jobs"))


async def test_a_server_that_is_away_while_a_batch_gathers(make_server: Any) -> None:
    server: RedisServer = make_server("--appendonly", "yes", "--appendfsync", "always")
    async with App(server.unix_url) as app:
        calls = noting(app, batch=4, batch_wait=FOR_EVER)
        watch = Watch()
        async with running(app, settings=QUIET, observers=[watch]) as worker:
            await produce(app, 0, 1, 2)
            await gathered(worker, 3)
            server.kill()
            await watch.until(lambda: watch.of(ServerLost))
            server.start()
            await watch.until(lambda: watch.of(ServerBack))
            await produce(app, 3)
            await watch.until(lambda: len(watch.verdicts) == 4)
        assert calls == [[0, 1, 2, 3]]
        assert watch.outcomes == [Outcome.SUCCEEDED] * 4
