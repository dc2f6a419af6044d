"""Handlers that take several jobs at once."""

from __future__ import annotations

import asyncio

import pytest
import redis

from streamq import App, Dead, Job, Settings
from tests.lua.support import write
from tests.worker.support import AT_ONCE, Outcome, drain

pytestmark = pytest.mark.anyio

ONE = Settings(concurrency=1, result_ttl=0)


async def test_jobs_come_in_lists(app: App) -> None:
    batches: list[list[int]] = []

    @app.handler("t", batch=4)
    async def handle(jobs: list[Job]) -> None:
        assert all(job.retries == 3 and job.attempt == 1 for job in jobs)
        batches.append([job.data["n"] for job in jobs])
        await asyncio.sleep(0)

    await app.produce_many(("t", {"n": n}) for n in range(50))
    watch = await drain(app, settings=Settings(concurrency=8, result_ttl=0))
    assert sorted(n for batch in batches for n in batch) == list(range(50))
    assert max(map(len, batches)) <= 4
    assert any(len(batch) > 1 for batch in batches)
    assert watch.outcomes == [Outcome.SUCCEEDED] * 50


async def test_only_jobs_for_the_same_handler_come_together(app: App) -> None:
    batches: list[list[str]] = []

    @app.handler("a", batch=10)
    async def a(jobs: list[Job]) -> None:
        batches.append([job.type for job in jobs])

    @app.handler("b", batch=10)
    async def b(jobs: list[Job]) -> None:
        batches.append([job.type for job in jobs])

    for type in "aabbba":
        await app.produce(type)
    await drain(app, settings=Settings(concurrency=6, result_ttl=0))
    assert batches == [["a", "a"], ["b", "b", "b"], ["a"]]


async def test_garbage_and_fields_of_streamqs_own_are_kept_apart(
    app: App, client: redis.Redis
) -> None:
    seen: list[tuple[str | None, int]] = []

    @app.handler("*", batch=10)
    async def handle(jobs: list[Job]) -> None:
        seen.extend((job.key, len(jobs)) for job in jobs)

    await app.produce("a")
    write(client, "type", b"\xff", "data", "{}")
    write(client, "type", "a", "data", "{}", "for", "nobody")
    write(client, "type", "a", "data", "{}", "expires", "0")
    await app.produce("a", key="k")
    await app.produce("b")
    watch = await drain(app, settings=Settings(concurrency=10, result_ttl=0))
    assert seen == [(None, 1), ("k", 2), (None, 2)]
    assert sorted(outcome.value for outcome in watch.outcomes) == [
        "dead", "expired", "skipped", "succeeded", "succeeded", "succeeded",
    ]  # fmt: skip


async def test_a_failure_is_everybodys(app: App, client: redis.Redis) -> None:
    calls: list[list[int]] = []

    @app.handler("t", batch=3, retries=1, backoff=AT_ONCE)
    async def handle(jobs: list[Job]) -> None:
        calls.append([job.attempt for job in jobs])
        if jobs[0].attempt == 1:
            raise ValueError("all of them")

    await app.produce_many(("t", {}) for _ in range(3))
    watch = await drain(app, settings=Settings(concurrency=3, result_ttl=0))
    assert watch.outcomes == [Outcome.RETRY] * 3 + [Outcome.SUCCEEDED] * 3
    assert calls[0] == [1, 1, 1]
    assert client.keys("*") == ["jobs"]


async def test_giving_up_is_everybodys(app: App) -> None:
    @app.handler("t", batch=3)
    async def handle(jobs: list[Job]) -> None:
        raise Dead("all of them")

    await app.produce_many(("t", {}) for _ in range(3))
    watch = await drain(app, settings=Settings(concurrency=3, result_ttl=0))
    assert watch.outcomes == [Outcome.DEAD] * 3


async def test_batches_in_threads(app: App) -> None:
    @app.handler("t", batch=5)
    def handle(jobs: list[Job]) -> None:
        for job in jobs:
            job.emit("next", {"n": job.data["n"]})

    got: list[int] = []

    @app.handler("next")
    async def after(n: int) -> None:
        got.append(n)

    await app.produce_many(("t", {"n": n}) for n in range(20))
    await drain(app)
    assert sorted(got) == list(range(20))


async def test_a_job_that_is_not_json_is_the_handlers_own_affair(
    app: App, client: redis.Redis
) -> None:
    """A batch handler reads the data itself, so nothing is checked before."""

    @app.handler("t", batch=2, retries=0)
    async def handle(jobs: list[Job]) -> None:
        for job in jobs:
            _ = job.data

    write(client, "type", "t", "data", "{")
    watch = await drain(app, settings=ONE)
    assert [(v.outcome, v.reason) for v in watch.verdicts] == [(Outcome.DEAD, "retries exhausted")]
