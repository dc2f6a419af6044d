"""Leases: kept by the heartbeat, lost to others, and what happens then."""

from __future__ import annotations

import asyncio
import time

import pytest
import redis

from streamq import App, Job, Settings, lua
from streamq.signals import DeadLettered, LeaseLost, Reclaimed, Refused
from tests.lua.support import Group, ids_of, raw_entries
from tests.servers import RedisServer
from tests.waiting import for_ever
from tests.worker.proxy import proxied
from tests.worker.support import Outcome, Watch, drain, eventually, running, together

pytestmark = pytest.mark.anyio

SHORT = Settings(lease=0.3, result_ttl=0)


async def test_a_job_may_run_longer_than_the_lease(app: App) -> None:
    """Another worker looks for stalled entries all the while."""
    attempts: list[int] = []

    @app.handler("t")
    async def handle(job: Job) -> None:
        attempts.append(job.attempt)
        await asyncio.sleep(3 * SHORT.lease)

    await app.produce("t")
    watch = Watch()
    options = {"observers": [watch], "settings": SHORT}
    async with running(app, **options), running(app, **options):
        await watch.until(lambda: watch.verdicts)
    assert attempts == [1]
    assert watch.outcomes == [Outcome.SUCCEEDED]
    for kind in (LeaseLost, Reclaimed, Refused):
        assert watch.of(kind) == []


async def test_so_may_one_in_a_thread(app: App) -> None:
    attempts: list[int] = []

    @app.handler("t")
    def handle(job: Job) -> None:
        attempts.append(job.attempt)
        time.sleep(3 * SHORT.lease)

    await app.produce("t")
    watch = await drain(app, settings=SHORT)
    assert attempts == [1]
    assert watch.outcomes == [Outcome.SUCCEEDED]


async def test_a_handler_that_blocks_the_event_loop_does_not_rob_its_own_worker(
    app: App,
) -> None:
    """No heartbeat came for longer than the lease, but nobody else has taken the jobs."""
    begun, go_on = asyncio.Event(), asyncio.Event()
    attempts: list[tuple[str, int]] = []

    @app.handler("waits")
    async def waits(job: Job) -> None:
        attempts.append(("waits", job.attempt))
        begun.set()
        await together(go_on)

    @app.handler("blocks")
    async def blocks(job: Job) -> None:
        attempts.append(("blocks", job.attempt))
        time.sleep(2 * SHORT.lease)  # noqa: ASYNC251 - what is tested

    await app.produce("waits")
    watch = Watch()
    async with running(app, observers=[watch], settings=SHORT):
        await together(begun)
        await app.produce("blocks")
        await watch.until(lambda: watch.verdicts)
        await asyncio.sleep(SHORT.lease)  # time for a reclaim
        go_on.set()
        await watch.until(lambda: len(watch.verdicts) == 2)
    assert sorted(attempts) == [("blocks", 1), ("waits", 1)]
    assert watch.of(Refused) == []
    assert watch.of(Reclaimed) == []


async def test_a_lost_lease_cancels_the_handler(app: App, client: redis.Redis) -> None:
    begun = asyncio.Event()
    cancelled = asyncio.Event()

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
    async with running(app, observers=[watch], settings=SHORT) as worker:
        await together(begun)
        client.xclaim("jobs", "default", "thief", 0, [id])
        await together(cancelled)
        await watch.until(lambda: watch.of(LeaseLost))
        assert worker.consumers[0].in_flight.deliveries() == []
        client.xack("jobs", "default", id)
    assert watch.of(LeaseLost) == [LeaseLost("jobs", "default", [id])]
    assert watch.verdicts == []
    assert watch.of(Refused) == []


async def test_a_lost_lease_takes_a_waiting_job_out_of_the_buffer(
    app: App, client: redis.Redis
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    ran: list[int] = []

    @app.handler("warm up")
    async def warm_up() -> None: ...

    @app.handler("t")
    async def handle(n: int) -> None:
        ran.append(n)
        begun.set()
        await together(go_on)

    await app.produce_many(("warm up", {}) for _ in range(3000))
    ids = [job.id for job in await app.produce_many(("t", {"n": n}) for n in range(50))]
    watch = Watch()
    settings = Settings(concurrency=1, lease=0.3, result_ttl=0)
    async with running(app, observers=[watch], settings=settings) as worker:
        await together(begun)
        in_flight = worker.consumers[0].in_flight
        await eventually(lambda: in_flight.holds(ids[1], 1))
        client.xclaim("jobs", "default", "thief", 0, [ids[1]])
        await watch.until(lambda: watch.of(LeaseLost))
        client.xack("jobs", "default", ids[1])
        go_on.set()
        await watch.until(lambda: len(ran) == 49)
    assert 1 not in ran


async def test_a_zombie_is_refused(app: App, client: redis.Redis) -> None:
    """Its entry was taken, and it finishes before it hears of that."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.handler("t")
    async def handle(job: Job) -> str:
        begun.set()
        await together(go_on)
        return "zombie"

    id = (await app.produce("t")).id
    watch = Watch()
    async with running(app, observers=[watch], settings=Settings(lease=60)) as worker:
        await together(begun)
        client.xclaim("jobs", "default", worker.name, 0, [id])  # its own, but a later delivery
        go_on.set()
        await watch.until(lambda: watch.of(Refused))
        [refused] = watch.of(Refused)
        assert (refused.holder, refused.verdict.job.attempt) == (worker.name, 1)
        assert ids_of(client) == [id]
        client.xack("jobs", "default", id)
    assert watch.verdicts == []


async def test_a_job_that_kills_its_workers_is_buried(app: App, client: redis.Redis) -> None:
    ran: list[int] = []

    @app.handler("t", retries=2)
    async def handle(n: int) -> None:
        ran.append(n)

    group = Group(client, "default")
    poison = (await app.produce("t", {"n": 0})).id
    await app.produce("t", {"n": 1})
    group.read("dead worker", count=1)
    for _ in range(2):
        group.take_by_hand(poison, "dead worker")
    watch = await drain(app, settings=SHORT)
    assert ran == [1]
    assert watch.of(DeadLettered) == [DeadLettered("jobs", "default", poison, 3, "t")]
    [(_, fields)] = raw_entries(client, "{jobs}:group:default:dlq")
    assert fields[:2] == [("id", poison), ("reason", "worker lost")]
    assert client.xlen("jobs") == 0


@pytest.mark.parametrize("deliveries", [1, 2])
async def test_entries_that_nobody_handles_killed_no_worker(
    app: App, client: redis.Redis, deliveries: int
) -> None:
    """However often they were in a dead worker's hands, what they get is what they are due."""
    app.handler("t", retries=0)(lambda: None)
    app.group("default", ignore=["ignored"])
    group = Group(client, "default")
    Group(client, "other", start="$")
    ignored = (await app.produce("ignored")).id
    unknown = (await app.produce("unknown")).id
    group.read("dead worker")
    for _ in range(deliveries - 1):
        group.take_by_hand(ignored, "dead worker")
        group.take_by_hand(unknown, "dead worker")
    watch = await drain(app, settings=SHORT)
    assert watch.of(DeadLettered) == []
    assert {v.job.type: (v.outcome, v.reason) for v in watch.verdicts} == {
        "ignored": (Outcome.SKIPPED, ""), "unknown": (Outcome.DEAD, "no handler"),
    }  # fmt: skip


async def test_a_settle_whose_reply_was_lost_loses_no_lease(
    server: RedisServer, client: redis.Redis
) -> None:
    """The heartbeat finds the entry gone: it was settled, which is no loss."""
    async with proxied(server.socket) as proxy, App(proxy.url) as app:
        runs: list[int] = []

        @app.handler("t", retries=0)
        async def handle(job: Job, n: int) -> None:
            runs.append(n)
            job.emit("next", {"n": n}, stream="out")

        watch = Watch()
        async with running(app, observers=[watch], settings=SHORT):
            await app.produce("t", {"n": 0})
            await watch.until(lambda: watch.verdicts)
            # The first and some repetitions, so that heartbeats come in between.
            proxy.lose_reply(lua.load("settle").sha.encode(), times=6)
            await app.produce("t", {"n": 1})
            await watch.until(lambda: len(watch.verdicts) == 2)
            await asyncio.sleep(SHORT.lease)
    assert runs == [0, 1]
    assert watch.outcomes == [Outcome.SUCCEEDED] * 2
    assert watch.of(LeaseLost) == []
    assert watch.of(Refused) == []
    assert len(ids_of(client, "out")) == 2
