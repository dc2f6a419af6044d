"""Entries that somebody deletes or trims while a group has them: said, and nothing else lost."""

from __future__ import annotations

import asyncio
import logging

import pytest
import redis

from streamq import App, Job, Settings
from streamq.observe.log_lines import LogObserver
from streamq.signals import LeaseLost, Vanished
from tests.lua.support import Group
from tests.waiting import for_ever
from tests.worker.support import AT_ONCE, Outcome, Watch, drain, eventually, running, together

pytestmark = pytest.mark.anyio

LONG = Settings(lease=60, result_ttl=0)


@pytest.mark.parametrize("fails", [False, True])
async def test_deleted_while_it_runs(
    app: App, client: redis.Redis, fails: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """It may still succeed; but what is gone cannot be tried again."""

    @app.handler("t", backoff=AT_ONCE)
    async def handle(job: Job, n: int) -> None:
        if n == 0:
            client.xdel("jobs", job.id)
            if fails:
                raise ValueError("no")

    id = (await app.produce("t", {"n": 0})).id
    await app.produce("t", {"n": 1})
    watch = await drain(app, settings=LONG, observers=[LogObserver()])
    if fails:
        assert watch.outcomes == [Outcome.SUCCEEDED]
        assert watch.of(Vanished) == [Vanished("jobs", "default", [id])]
        assert "deleted from the stream by another program" in caplog.text
    else:
        assert watch.outcomes == [Outcome.SUCCEEDED] * 2
        assert watch.of(Vanished) == []
    assert client.keys("*") == ["jobs"]


async def test_deleted_while_it_runs_for_long(app: App, client: redis.Redis) -> None:
    """The heartbeat cannot keep what is gone."""
    begun, cancelled = asyncio.Event(), asyncio.Event()

    @app.handler("t")
    async def handle() -> None:
        begun.set()
        try:
            await for_ever()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    id = (await app.produce("t")).id
    watch = Watch()
    async with running(
        app, observers=[watch], settings=Settings(lease=0.3, result_ttl=0)
    ) as worker:
        await together(begun)
        client.xtrim("jobs", maxlen=0, approximate=False)
        await together(cancelled)
        await watch.until(lambda: watch.of(Vanished))
        await eventually(lambda: not worker.consumers[0].runners.running)
        assert worker.consumers[0].in_flight.deliveries() == []
    assert watch.of(Vanished) == [Vanished("jobs", "default", [id])]
    assert watch.of(LeaseLost) == []
    assert watch.verdicts == []


async def test_deleted_while_it_waits_for_its_retry(
    app: App, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    @app.handler("t", backoff=AT_ONCE)
    async def handle() -> None:
        raise ValueError("no")

    group = Group(client, "default")
    id = (await app.produce("t")).id
    group.read("a")
    group.park(id, delay=50)
    client.xdel("jobs", id)
    watch = await drain(app, settings=LONG, observers=[LogObserver()])
    assert watch.of(Vanished) == [Vanished("jobs", "default", [id])]
    assert watch.verdicts == []
    assert client.zcard(group.keys.retry) == 0


async def test_deleted_while_its_worker_was_dead(app: App, client: redis.Redis) -> None:
    seen: list[int] = []

    @app.handler("t")
    async def handle(n: int) -> None:
        seen.append(n)

    group = Group(client, "default")
    ids = [job.id for job in await app.produce_many(("t", {"n": n}) for n in range(4))]
    group.read("dead worker")
    client.xdel("jobs", *ids[:2])
    watch = await drain(app, settings=Settings(lease=0.2, result_ttl=0), observers=[LogObserver()])
    assert [id for event in watch.of(Vanished) for id in event.job_ids] == ids[:2]
    assert sorted(seen) == [2, 3]
    assert group.pending() == {}


async def test_deleted_before_anybody_had_it(app: App, client: redis.Redis) -> None:
    """It was queued: the group never had it, and cannot miss it."""
    seen: list[int] = []

    @app.handler("t")
    async def handle(n: int) -> None:
        seen.append(n)

    ids = [job.id for job in await app.produce_many(("t", {"n": n}) for n in range(4))]
    client.xdel("jobs", *ids[1:3])
    watch = await drain(app)
    assert sorted(seen) == [0, 3]
    assert watch.of(Vanished) == []


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "streamq")
