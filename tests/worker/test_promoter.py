"""Jobs for later on their way to the stream: by a worker that is idle, busy or not alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis

from streamq import App, Settings, lua
from streamq.signals import ServerLost
from streamq.wire.keys import stream_keys
from tests.lua.support import ids_of
from tests.servers import RedisServer
from tests.waiting import eventually
from tests.worker.proxy import proxied
from tests.worker.support import QUIET, Watch, running

pytestmark = pytest.mark.anyio

KEYS = stream_keys("jobs")


async def test_what_is_due_at_the_start_belongs_to_a_burst(app: App, client: redis.Redis) -> None:
    seen: list[int] = []
    app.handler("t")(lambda n: seen.append(n))
    jobs = await app.produce_many([("t", {"n": n}) for n in range(250)], delay=0)
    await app.worker(burst=True).run()
    assert sorted(seen) == list(range(250))
    assert client.zcard(KEYS.scheduled) == client.hlen(KEYS.scheduled_jobs) == 0
    assert len({client.get(KEYS.schedule_id(job.id)) for job in jobs}) == 250


async def test_it_goes_to_the_stream_while_every_handler_is_busy(
    app: App, client: redis.Redis
) -> None:
    """Another group may have the time for it."""
    begun, enough = asyncio.Event(), asyncio.Event()

    @app.handler("t")
    async def handle() -> None:
        begun.set()
        await enough.wait()

    settings = Settings(concurrency=1, prefetch=0)
    async with running(app, settings=settings):
        await app.produce("t")
        await begun.wait()
        later = await app.produce("t", delay=0.01)
        await eventually(lambda: client.exists(KEYS.schedule_id(later.id)))
        assert client.xlen("jobs") == 2
        enough.set()


async def test_several_workers_write_each_job_once(
    app: App, server: RedisServer, client: redis.Redis
) -> None:
    seen: list[int] = []

    async def work() -> None:
        async with App(server.unix_url) as mine:
            mine.handler("t")(lambda n: seen.append(n))
            async with running(mine):
                await eventually(lambda: len(seen) >= 300)

    await app.produce_many([("t", {"n": n}) for n in range(300)], delay=0.05)
    async with asyncio.TaskGroup() as workers:
        for _ in range(3):
            workers.create_task(work())
    assert sorted(seen) == list(range(300))
    assert ids_of(client) == []


@pytest.mark.parametrize("unique", [None, "k"])
async def test_a_reply_that_was_lost_writes_nothing_twice(
    server: RedisServer, client: redis.Redis, unique: str | None
) -> None:
    seen: list[Any] = []
    promote = lua.load("promote")
    client.script_load(promote.source)
    async with proxied(server.socket) as proxy, App(proxy.url) as app, App(server.unix_url) as mine:
        app.handler("t")(lambda n: seen.append(n))
        proxy.lose_reply(promote.sha.encode(), times=2)
        job = await mine.produce("t", {"n": 1}, delay=0, unique=unique)
        watch = Watch()
        async with running(app, observers=[watch]):
            await watch.until(lambda: watch.verdicts)
            assert proxy.lost.is_set()
            await mine.produce("t", {"n": 2})
            await watch.until(lambda: len(watch.verdicts) == 2)
        status = await mine.admin.status("jobs", job.id)
    assert seen == [1, 2]
    assert [group.state for group in status.groups] == ["succeeded"]
    assert client.zcard(KEYS.scheduled) == 0


async def test_what_is_scheduled_for_sooner_is_seen(app: App) -> None:
    """Although the worker knows of one that is due much later."""
    watch = Watch()
    app.handler("t")(lambda: None)
    await app.produce("t", delay=3600)
    async with running(app, observers=[watch], settings=QUIET):
        await app.produce("t", delay=0.05)
        await watch.until(lambda: watch.verdicts)


async def test_a_key_of_the_wrong_type_does_not_keep_the_stream_waiting(
    app: App, client: redis.Redis
) -> None:
    watch = Watch()
    app.handler("t")(lambda: None)
    client.set(KEYS.scheduled, "x")
    async with running(app, observers=[watch]):
        await watch.until(lambda: watch.of(ServerLost))
        await app.produce("t")
        await watch.until(lambda: watch.verdicts)
        client.delete(KEYS.scheduled)
        await app.produce("t", delay=0)
        await watch.until(lambda: len(watch.verdicts) == 2)
    assert "{jobs}:scheduled" in str(watch.of(ServerLost)[0].error)
