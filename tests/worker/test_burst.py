"""A burst ends when nothing is left, whoever has it."""

from __future__ import annotations

import asyncio

import pytest
import redis

from streamq import App, Backoff, Job, Settings
from streamq.signals import DeadLettered, Reclaimed
from streamq.worker.consumer import Consumer
from tests.lua.support import Group
from tests.worker.support import QUIET, Outcome, Watch, drain, running, together

pytestmark = pytest.mark.anyio


async def test_nothing_to_do(app: App, client: redis.Redis) -> None:
    app.handler("t")(lambda: None)
    watch = await drain(app)
    assert watch.outcomes == []
    assert client.keys("*") == ["jobs"]
    assert client.xinfo_consumers("jobs", "default") == []


async def test_it_waits_for_retries(app: App) -> None:
    @app.handler("t", retries=2, backoff=Backoff(base=0.1, factor=1, jitter=False))
    async def handle(job: Job) -> None:
        if job.attempt < 3:
            raise ValueError("again")

    await app.produce("t")
    watch = await drain(app)
    assert watch.outcomes == [Outcome.RETRY, Outcome.RETRY, Outcome.SUCCEEDED]


async def test_it_waits_for_the_stalled_entries_of_dead_workers(
    app: App, client: redis.Redis
) -> None:
    attempts: list[int] = []

    @app.handler("t")
    async def handle(job: Job) -> None:
        attempts.append(job.attempt)

    group = Group(client, "default")
    ids = [(await app.produce("t")).id for _ in range(3)]
    group.read("dead worker", count=2)
    watch = await drain(app, settings=Settings(lease=0.3, result_ttl=0))
    assert sorted(attempts) == [1, 2, 2]
    assert [id for event in watch.of(Reclaimed) for id in event.job_ids] == ids[:2]
    assert client.xlen("jobs") == 0
    assert watch.of(DeadLettered) == []


async def test_it_waits_for_what_live_workers_hold(app: App, client: redis.Redis) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.handler("t")
    async def handle() -> None:
        begun.set()
        await together(go_on)

    await app.produce("t")
    watch = Watch()
    async with running(app, observers=[watch], settings=QUIET):
        await together(begun)
        burst = asyncio.create_task(drain(app))
        done, _ = await asyncio.wait([burst], timeout=0.2)
        assert not done
        go_on.set()
        assert (await burst).verdicts == []
    assert watch.outcomes == [Outcome.SUCCEEDED]


async def test_it_takes_what_comes_meanwhile(app: App) -> None:
    seen: list[int] = []

    @app.handler("t")
    async def handle(n: int) -> None:
        seen.append(n)
        if n < 20:
            await app.produce("t", {"n": n + 1})

    await app.produce("t", {"n": 0})
    await drain(app)
    assert seen == list(range(21))


async def test_it_does_not_end_between_a_job_and_its_event_on_another_stream(
    app: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first stream has been looked at, the second has just finished: look again."""
    let_go = asyncio.Event()
    seen: list[str] = []
    watch = Watch()

    @app.handler("last", stream="first")
    async def last() -> None:
        seen.append("last")

    @app.handler("start", stream="second")
    async def start(job: Job) -> None:
        await together(let_go)
        job.emit("last", stream="first")

    really_idle = Consumer.idle

    async def idle(self: Consumer) -> bool:
        if self.stream == "second" and not watch.verdicts:
            let_go.set()
            await watch.until(lambda: watch.verdicts)
        return await really_idle(self)

    monkeypatch.setattr(Consumer, "idle", idle)
    await app.produce("start", stream="second")
    await drain(app, observers=[watch])
    assert seen == ["last"]
    assert client.xlen("first") == 0


async def test_several_groups(app: App, client: redis.Redis) -> None:
    seen: list[str] = []

    @app.group("a").handler("t")
    async def a() -> None:
        seen.append("a")

    @app.group("b").handler("t", retries=1, backoff=Backoff(base=0.1, jitter=False))
    async def b(job: Job) -> None:
        seen.append("b")
        if job.attempt == 1:
            raise ValueError("again")

    await app.produce("t")
    await drain(app)
    assert sorted(seen) == ["a", "b", "b"]
    assert client.keys("*") == ["jobs"]
