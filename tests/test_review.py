"""Regression tests: each stands for a defect that a review found."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextvars import ContextVar

import pytest
import redis

from streamq import App, Job, Settings
from streamq.events import Event, LeaseLost, Outcome, ServerBack, ServerLost, Settled

pytestmark = pytest.mark.anyio

_variable: ContextVar[int | None] = ContextVar("_variable", default=None)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # what is awaited is in the server
            await asyncio.sleep(0.01)


async def test_a_context_variable_is_not_there_for_the_jobs_that_are_waiting(app: App) -> None:
    found: list[int | None] = []

    @app.handler("set", group="g")
    async def handle(i: int) -> None:
        found.append(_variable.get())
        _variable.set(i)

    await app.produce_many([("set", {"i": i}) for i in range(2000)])
    await app.worker(burst=True, settings=Settings(concurrency=1)).run()
    assert found == [None] * 2000


async def test_a_lost_lease_gives_the_rest_of_a_batch_back(app: App, client: redis.Redis) -> None:
    calls: list[list[str]] = []
    events: list[Event] = []

    @app.handler("x", group="g", batch=3)
    async def handle(jobs: list[Job]) -> None:
        calls.append([job.id for job in jobs])
        if len(calls) == 1:
            await asyncio.sleep(60)

    ids = await app.produce_many([("x", {})] * 3)
    worker = app.worker(settings=Settings(lease=0.3, grace=0), observers=[events.append])
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run())
        await _until(lambda: bool(calls))
        client.xclaim("jobs", "g", "somebody-else", 0, [ids[0]])
        client.xack("jobs", "g", ids[0])
        await _until(lambda: any(isinstance(event, LeaseLost) for event in events))
        await _until(lambda: client.xpending("jobs", "g")["pending"] == 0)
        worker.stop()
    assert calls[0] == ids
    assert sorted(id for call in calls[1:] for id in call) == ids[1:]


async def test_max_jobs_ends_a_worker_whose_groups_overdraw_it(app: App) -> None:
    ran: list[str] = []

    def register(group: str) -> None:
        @app.handler("x", group=group)
        async def handle() -> None:
            ran.append(group)

    for group in ("a", "b", "c"):
        register(group)
    worker = app.worker(max_jobs=1)
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run())
        await _until(lambda: all(consumer.fetcher._sweep_at for consumer in worker.consumers))
        await app.produce("x")
    assert ran


async def test_one_stream_in_trouble_is_told_once_beside_others_that_work(
    app: App, client: redis.Redis
) -> None:
    events: list[Event] = []

    def register(stream: str) -> None:
        @app.handler("x", group="g", stream=stream)
        async def handle() -> None: ...

    register("good")
    register("bad")
    worker = app.worker(settings=Settings(grace=0), observers=[events.append])
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run())
        await _until(lambda: all(consumer.fetcher._sweep_at for consumer in worker.consumers))
        client.delete("bad")
        client.set("bad", "no stream")
        await _until(lambda: any(isinstance(event, ServerLost) for event in events))
        for _ in range(3):
            await app.produce("x", stream="good")
            await _until(lambda: not client.xlen("good"))
        assert not any(isinstance(event, ServerBack) for event in events)
        client.delete("bad")
        await _until(lambda: any(isinstance(event, ServerBack) for event in events))
        worker.stop()
    assert sum(isinstance(event, ServerLost) for event in events) == 1


async def test_the_wait_for_a_thread_is_not_counted_by_the_timeout(app: App) -> None:
    outcomes: list[Outcome] = []

    def observe(event: Event) -> None:
        if isinstance(event, Settled):
            outcomes.extend(verdict.outcome for verdict in event.verdicts)

    def register(group: str) -> None:
        @app.handler("x", group=group, timeout=0.5, retries=0)
        def handle() -> None:
            time.sleep(0.2)

    for group in ("a", "b", "c", "d"):  # which share one thread
        register(group)
    await app.produce("x")
    worker = app.worker(burst=True, settings=Settings(concurrency=1), observers=[observe])
    await worker.run()
    assert outcomes == [Outcome.SUCCEEDED] * 4
