"""Handlers that run too long, and handlers that will not stop."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import redis

from streamq import App, Job, Settings
from streamq.signals import HandlerAbandoned
from tests.waiting import for_ever
from tests.worker import work
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


async def test_a_timeout_is_a_failure(app: App) -> None:
    cancelled: list[int] = []

    @app.handler("t", timeout=0.02, retries=1, backoff=AT_ONCE)
    async def handle(job: Job) -> None:
        try:
            await for_ever()
        finally:
            cancelled.append(job.attempt)

    await app.produce("t")
    watch = await drain(app)
    assert watch.outcomes == [Outcome.RETRY, Outcome.DEAD]
    assert cancelled == [1, 2]
    assert {v.error for v in watch.verdicts} == {"ran longer than its timeout of 0.02 s"}


async def test_fast_jobs_are_not_touched_by_the_timeout(app: App) -> None:
    @app.handler("t", timeout=5)
    async def handle(n: int) -> None:
        await asyncio.sleep(0)

    await app.produce_many(("t", {"n": n}) for n in range(200))
    assert set((await drain(app)).outcomes) == {Outcome.SUCCEEDED}


async def test_each_handler_has_its_own_timeout(app: App) -> None:
    timed_out = asyncio.Event()

    @app.handler("short", timeout=0.02, retries=0)
    async def short() -> None:
        try:
            await for_ever()
        finally:
            timed_out.set()

    @app.handler("long", timeout=3600, retries=0)
    async def long() -> None:
        await together(timed_out)

    @app.handler("none", retries=0)
    async def none() -> None:
        await together(timed_out)

    for type in ("long", "short", "none"):
        await app.produce(type)
    watch = await drain(app)
    assert {v.job.type: v.outcome for v in watch.verdicts} == {
        "short": Outcome.DEAD, "long": Outcome.SUCCEEDED, "none": Outcome.SUCCEEDED,
    }  # fmt: skip


async def test_a_handler_may_finish_although_it_is_cancelled(app: App) -> None:
    """It was about to be done, and says so by returning."""

    @app.handler("t", timeout=0.02, retries=0)
    async def handle() -> str:
        try:
            await for_ever()
        except asyncio.CancelledError:
            return "saved what there was"
        return "never"

    await app.produce("t")
    watch = await drain(app)
    assert watch.outcomes == [Outcome.SUCCEEDED]


async def test_a_runner_serves_on_after_a_timeout(app: App) -> None:
    """The cancellation of one job does not reach the next on the same runner."""

    @app.handler("t", timeout=0.02, retries=0)
    async def handle(n: int) -> None:
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await (for_ever() if n % 2 else asyncio.sleep(0))

    await app.produce_many(("t", {"n": n}) for n in range(6))
    watch = await drain(app, settings=Settings(concurrency=1, result_ttl=0))
    assert [v.outcome for v in sorted(watch.verdicts, key=lambda v: v.job.id)] == [
        Outcome.SUCCEEDED, Outcome.DEAD,
    ] * 3  # fmt: skip


async def test_a_handler_that_ignores_its_cancellation_is_left_behind(
    app: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamq.worker.runners.STUCK_AFTER", 0.05)
    let_go = asyncio.Event()
    ended: list[int] = []

    @app.handler("t", timeout=0.02, retries=0)
    async def handle(n: int) -> None:
        while n == 0 and not let_go.is_set():
            try:
                await together(let_go)
            except asyncio.CancelledError:
                continue
        ended.append(n)

    await app.produce("t", {"n": 0})
    await app.produce("t", {"n": 1})
    watch = Watch()
    async with running(
        app, observers=[watch], settings=Settings(concurrency=1, result_ttl=0)
    ) as worker:
        await watch.until(lambda: len(watch.verdicts) == 2)
        assert ended == [1]
        assert [event.job.data for event in watch.of(HandlerAbandoned)] == [{"n": 0}]
        let_go.set()
        await eventually(lambda: ended == [1, 0])
        await app.produce("t", {"n": 2})
        await watch.until(lambda: len(watch.verdicts) == 3)
    assert worker.stuck == 0
    assert watch.outcomes == [Outcome.DEAD, Outcome.SUCCEEDED, Outcome.SUCCEEDED]
    assert client.xlen("jobs") == 0


async def test_cleaning_up_may_take_its_time(app: App) -> None:
    @app.handler("t", timeout=0.02, retries=0)
    async def handle() -> None:
        try:
            await for_ever()
        finally:
            await asyncio.sleep(0.05)

    await app.produce("t")
    watch = await drain(app)
    assert watch.outcomes == [Outcome.DEAD]
    assert watch.of(HandlerAbandoned) == []


async def test_an_error_while_cleaning_up_is_kept(app: App) -> None:
    @app.handler("t", timeout=0.02, retries=0)
    async def handle() -> None:
        try:
            await for_ever()
        finally:
            raise ValueError("in the way")

    await app.produce("t")
    watch = await drain(app)
    assert [v.error for v in watch.verdicts] == ["ValueError: in the way"]


async def test_a_handler_in_a_process_is_killed(app: App, tmp_path: Path) -> None:
    app.handler("t", timeout=1.0, retries=0, process=True)(work.leaves_a_mark)
    mark = tmp_path / "pid"
    await app.produce("t", {"path": str(mark)})
    watch = await drain(app, settings=Settings(processes=1, result_ttl=0))
    assert watch.outcomes == [Outcome.DEAD]
    assert not work.is_running(mark)


async def test_a_timeout_of_a_batch_is_everybodys(app: App) -> None:
    @app.handler("t", timeout=0.02, retries=0, batch=3)
    async def handle(jobs: list[Job]) -> None:
        await for_ever()

    await app.produce_many(("t", {}) for _ in range(3))
    watch = await drain(app, settings=QUIET)
    assert watch.outcomes == [Outcome.DEAD] * 3
