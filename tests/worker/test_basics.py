"""What a worker does with jobs that are in order."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest
import redis

from streamq import App, Job, Settings
from streamq.signals import GroupCreated, Settled
from tests.lua.support import raw_entries
from tests.worker.support import QUIET, Outcome, Watch, drain, running

pytestmark = pytest.mark.anyio


async def test_a_job_is_handled_and_leaves_nothing(app: App, client: redis.Redis) -> None:
    seen = []

    @app.group("images").handler("resize")
    async def resize(file: str, width: int = 256) -> None:
        seen.append((file, width))

    await app.produce("resize", {"file": "a.png", "width": 64})
    await app.produce("resize", {"file": "b.png"})
    await app.worker(burst=True, settings=QUIET).run()

    assert seen == [("a.png", 64), ("b.png", 256)]
    assert client.xlen("jobs") == 0
    assert client.keys("*") == ["jobs"]


async def test_a_job_written_with_a_plain_client(app: App, client: redis.Redis) -> None:
    seen = []

    @app.handler("")
    async def handle(job: Job, file: str, width: int) -> None:
        seen.append((job.id, file, width))

    id = client.xadd("jobs", {"file": "a.png", "width": "64"})
    await drain(app)
    assert seen == [(id, "a.png", 64)]


async def test_what_the_handler_is_told_of_its_job(app: App) -> None:
    jobs: list[Job] = []

    @app.group("g").handler("t", retries=5)
    async def handle(job: Job) -> None:
        jobs.append(job)

    id = (await app.produce("t", {"n": 1}, key="k")).id
    worker = app.worker(burst=True, settings=QUIET)
    await worker.run()
    [job] = jobs
    assert (job.id, job.stream, job.group, job.type) == (id, "jobs", "g", "t")
    assert (job.consumer, job.attempt, job.retries) == (worker.name, 1, 5)
    assert (job.data, job.key) == ({"n": 1}, "k")
    assert job.created_at == int(id.partition("-")[0]) / 1000


@pytest.mark.parametrize("concurrency", [1, 5])
async def test_so_many_run_at_once(app: App, concurrency: int) -> None:
    running_now, most = 0, 0

    @app.handler("t")
    async def handle() -> None:
        nonlocal running_now, most
        running_now += 1
        most = max(most, running_now)
        await asyncio.sleep(0.002)
        running_now -= 1

    await app.produce_many(("t", {}) for _ in range(50))
    await drain(app, settings=Settings(concurrency=concurrency, result_ttl=0))
    assert most == concurrency


async def test_jobs_of_one_runner_come_in_order(app: App) -> None:
    seen: list[int] = []

    @app.handler("t")
    async def handle(n: int) -> None:
        seen.append(n)
        await asyncio.sleep(0)

    await app.produce_many(("t", {"n": n}) for n in range(1000))
    await drain(app, settings=Settings(concurrency=1, result_ttl=0))
    assert seen == list(range(1000))


@pytest.mark.parametrize("prefetch", [0, 3])
async def test_no_more_is_in_hand_than_allowed(
    app: App, client: redis.Redis, prefetch: int
) -> None:
    most = 0

    @app.handler("t")
    async def handle(n: int) -> None:
        nonlocal most
        if n % 50 == 0:
            most = max(most, client.xpending("jobs", "default")["pending"])
        await asyncio.sleep(0)

    await app.produce_many(("t", {"n": n}) for n in range(1000))
    await drain(app, settings=Settings(concurrency=2, prefetch=prefetch, result_ttl=0))
    assert 0 < most <= 2 + prefetch


async def test_many_jobs_of_many_kinds(app: App, client: redis.Redis) -> None:
    counts = dict.fromkeys("abcd", 0)

    @app.handler("a")
    async def a() -> None:
        counts["a"] += 1

    @app.handler("b")
    async def b() -> None:
        counts["b"] += 1
        await asyncio.sleep(0)

    @app.handler("c")
    def c() -> None:
        counts["c"] += 1

    @app.handler("d", batch=7)
    async def d(jobs: list[Job]) -> None:
        counts["d"] += len(jobs)

    await app.produce_many(("abcd"[n % 4], {"n": n}) for n in range(2000))
    watch = await drain(app)
    assert counts == dict.fromkeys("abcd", 500)
    assert watch.outcomes == [Outcome.SUCCEEDED] * 2000
    assert client.keys("*") == ["jobs"]


async def test_what_observers_are_told(app: App) -> None:
    app.handler("t")(lambda: None)
    id = (await app.produce("t")).id
    watch = await drain(app)
    created, settled = (
        event for event in watch.events if isinstance(event, GroupCreated | Settled)
    )
    assert created == GroupCreated("jobs", "default", again=False)
    assert isinstance(settled, Settled)
    [verdict] = settled.verdicts
    assert (verdict.job.id, verdict.outcome) == (id, Outcome.SUCCEEDED)
    assert 0 < verdict.started <= verdict.finished
    assert (verdict.result, verdict.reason, verdict.error, verdict.exception) == (b"", "", "", None)


async def test_consumers_are_named_after_their_worker(app: App, client: redis.Redis) -> None:
    app.group("a").handler("t")(lambda: None)
    app.group("b").handler("t")(lambda: None)
    watch = Watch()
    async with running(app, observers=[watch], settings=QUIET) as worker:
        await app.produce("t")
        await watch.until(lambda: len(watch.verdicts) == 2)
        for group in ("a", "b"):
            names = [row["name"] for row in client.xinfo_consumers("jobs", group)]
            assert names == [worker.name]
    assert app.worker().name != worker.name


class Touchy:
    """A value that cannot be compared, as arrays cannot."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth value is ambiguous")

    __hash__ = None  # type: ignore[assignment]  # nothing to compare, nothing to hash


touchy: ContextVar[Touchy] = ContextVar("touchy")


async def test_context_variables_that_cannot_be_compared(app: App) -> None:
    seen: list[int] = []

    @app.handler("t")
    async def handle(n: int) -> None:
        touchy.set(Touchy())
        seen.append(n)

    touchy.set(Touchy())
    await app.produce_many(("t", {"n": n}) for n in range(100))
    await drain(app, settings=Settings(concurrency=2, result_ttl=0))
    assert sorted(seen) == list(range(100))


async def test_a_job_whose_handler_produces_others(app: App, client: redis.Redis) -> None:
    @app.handler("t")
    async def handle() -> None:
        await app.produce("out", stream="out")

    await app.produce("t")
    await drain(app)
    assert len(raw_entries(client, "out")) == 1
