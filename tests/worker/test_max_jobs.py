"""A worker for so many deliveries and no more."""

from __future__ import annotations

import asyncio

import pytest
import redis

from streamq import App, Settings
from tests.worker.support import AT_ONCE, QUIET, Outcome, drain

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("most", [1, 3, 16, 17, 40])
async def test_exactly_so_many(app: App, client: redis.Redis, most: int) -> None:
    @app.handler("t")
    async def handle(n: int) -> None:
        await asyncio.sleep(0)

    await app.produce_many(("t", {"n": n}) for n in range(50))
    watch = await drain(app, burst=False, max_jobs=most)
    assert watch.outcomes == [Outcome.SUCCEEDED] * most
    assert client.xlen("jobs") == 50 - most
    assert client.xpending("jobs", "default")["pending"] == 0
    assert client.xinfo_consumers("jobs", "default") == []


@pytest.mark.parametrize("most", [1, 7, 30])
async def test_exactly_so_many_with_several_groups_and_streams(
    app: App, client: redis.Redis, most: int
) -> None:
    handled: list[str] = []

    async def handle() -> None:
        handled.append("x")
        await asyncio.sleep(0)

    for stream in ("one", "two"):
        for group in ("a", "b", "c"):
            app.group(group).handler("t", stream=stream)(handle)
        await app.produce_many((("t", {}) for _ in range(20)), stream=stream)
    watch = await drain(app, burst=False, max_jobs=most)
    assert len(handled) == len(watch.verdicts) == most
    for stream in ("one", "two"):
        for group in ("a", "b", "c"):
            assert client.xpending(stream, group)["pending"] == 0


async def test_a_stream_without_jobs_does_not_keep_the_others_waiting(app: App) -> None:
    for stream in ("empty", "full"):
        app.handler("t", stream=stream)(lambda: None)
    await app.produce_many((("t", {}) for _ in range(5)), stream="full")
    watch = await drain(app, burst=False, max_jobs=5)
    assert watch.outcomes == [Outcome.SUCCEEDED] * 5


async def test_every_delivery_counts(app: App, client: redis.Redis) -> None:
    @app.handler("t", retries=5, backoff=AT_ONCE)
    async def handle() -> None:
        raise ValueError("again")

    await app.produce("t")
    watch = await drain(app, burst=False, max_jobs=3)
    assert watch.outcomes == [Outcome.RETRY] * 3
    assert client.xlen("jobs") == 1


async def test_it_may_end_earlier_in_a_burst(app: App) -> None:
    app.handler("t")(lambda: None)
    await app.produce_many(("t", {}) for _ in range(3))
    watch = await drain(app, max_jobs=10)
    assert watch.outcomes == [Outcome.SUCCEEDED] * 3


async def test_it_can_be_stopped_before(app: App) -> None:
    app.handler("t")(lambda: None)
    worker = app.worker(max_jobs=10, settings=QUIET)
    task = asyncio.create_task(worker.run())
    await asyncio.sleep(0)
    worker.stop()
    async with asyncio.timeout(10):
        await task


async def test_long_jobs_are_waited_for(app: App) -> None:
    @app.handler("t")
    async def handle() -> None:
        await asyncio.sleep(0.1)  # being long is what is tested

    await app.produce_many(("t", {}) for _ in range(4))
    watch = await drain(app, burst=False, max_jobs=2, settings=Settings(grace=0, result_ttl=0))
    assert watch.outcomes == [Outcome.SUCCEEDED] * 2
