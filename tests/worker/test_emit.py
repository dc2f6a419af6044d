"""Follow-up events: written with the ack, or not at all."""

from __future__ import annotations

import asyncio
import threading

import pytest
import redis

from streamq import App, Dead, Job, lua
from streamq.signals import Refused
from tests.lua.support import ids_of, raw_entries
from tests.servers import RedisServer
from tests.waiting import for_ever
from tests.worker.proxy import proxied
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

DLQ = "{jobs}:group:default:dlq"


async def test_events_become_jobs(app: App, client: redis.Redis) -> None:
    seen: list[tuple[str, int]] = []

    @app.handler("a")
    async def a(job: Job, n: int) -> None:
        job.emit("b", {"n": n + 1})
        job.emit("b", {"n": n + 2})

    @app.handler("b")
    async def b(job: Job, n: int) -> None:
        seen.append((job.type, n))

    await app.produce("a", {"n": 1})
    await drain(app)
    assert sorted(seen) == [("b", 2), ("b", 3)]
    assert client.keys("*") == ["jobs"]


async def test_events_for_other_streams(app: App, client: redis.Redis) -> None:
    @app.handler("a")
    async def a(job: Job) -> None:
        job.emit("b", {"n": 1}, stream="out")
        job.emit("c", stream="elsewhere")

    await app.produce("a")
    await drain(app)
    assert [fields for _, fields in raw_entries(client, "out")] == [
        [("type", "b"), ("data", '{"n":1}')]
    ]
    assert len(ids_of(client, "elsewhere")) == 1


async def test_the_trace_goes_along(app: App, client: redis.Redis) -> None:
    @app.handler("a")
    async def a(job: Job) -> None:
        job.emit("b", stream="out")

    client.xadd("jobs", {"type": "a", "data": "{}", "trace": "00-ab-cd-01"})
    await drain(app)
    [(_, fields)] = raw_entries(client, "out")
    assert ("trace", "00-ab-cd-01") in fields


@pytest.mark.parametrize("how", ["retry", "dead", "timeout"])
async def test_a_failed_delivery_emits_nothing(app: App, client: redis.Redis, how: str) -> None:
    @app.handler("a", retries=1, backoff=AT_ONCE, timeout=0.05 if how == "timeout" else None)
    async def a(job: Job) -> None:
        job.emit("b", {"attempt": job.attempt}, stream="out")
        if how == "dead":
            raise Dead("no")
        if job.attempt == 1 and how == "timeout":
            await for_ever()
        if job.attempt == 1:
            raise ValueError("again")

    await app.produce("a")
    await drain(app)
    events = [dict(fields)["data"] for _, fields in raw_entries(client, "out")]
    assert events == ([] if how == "dead" else ['{"attempt":2}'])


async def test_a_refused_delivery_emits_nothing(app: App, client: redis.Redis) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.handler("a")
    async def a(job: Job) -> None:
        job.emit("b", stream="out")
        begun.set()
        await together(go_on)

    id = (await app.produce("a")).id
    watch = Watch()
    async with running(app, observers=[watch], settings=QUIET):
        await together(begun)
        client.xclaim("jobs", "default", "thief", 0, [id])
        go_on.set()
        await watch.until(lambda: watch.of(Refused))
    [refused] = watch.of(Refused)
    assert (refused.holder, refused.verdict.job.id) == ("thief", id)
    assert not client.exists("out")
    assert ids_of(client) == [id]


async def test_an_event_that_has_nowhere_to_go_is_the_jobs_death(
    app: App, client: redis.Redis
) -> None:
    client.set("out", "x")

    @app.handler("a")
    async def a(job: Job, n: int) -> None:
        job.emit("b", stream="out" if n else "fine")

    await app.produce("a", {"n": 0})
    id = (await app.produce("a", {"n": 1})).id
    watch = await drain(app)
    assert sorted(o.value for o in watch.outcomes) == ["dead", "succeeded"]
    [(_, fields)] = raw_entries(client, DLQ)
    assert fields[:3] == [
        ("id", id), ("reason", "emit failed"),
        ("error", "an event could not be written: one of the keys out is not a stream"),
    ]  # fmt: skip
    assert len(ids_of(client, "fine")) == 1
    assert client.xlen("jobs") == 0


async def test_an_event_that_cannot_be_made_is_the_handlers_failure(
    app: App, client: redis.Redis
) -> None:
    @app.handler("a", retries=0)
    async def a(job: Job, how: str) -> None:
        job.emit("b", stream="out")
        if how == "data":
            job.emit("b", {"data": object()}, stream="out")
        job.emit("\n" if how == "type" else "b", stream="\ud800")

    for how in ("data", "type", "stream"):
        await app.produce("a", {"how": how})
    watch = await drain(app)
    assert watch.outcomes == [Outcome.DEAD] * 3
    assert not client.exists("out")


async def test_many_events_of_one_job(app: App, client: redis.Redis) -> None:
    @app.handler("a")
    async def a(job: Job) -> None:
        for n in range(5000):
            job.emit("b", {"n": n}, stream="out")

    await app.produce("a")
    watch = await drain(app)
    assert watch.outcomes == [Outcome.SUCCEEDED]
    assert client.xlen("out") == 5000


async def test_emitting_after_the_end_is_too_late(app: App, client: redis.Redis) -> None:
    kept: list[Job] = []

    @app.handler("a")
    async def a(job: Job) -> None:
        kept.append(job)

    await app.produce("a")
    await drain(app)
    kept[0].emit("b", stream="out")
    assert not client.exists("out")


async def test_a_thread_that_was_given_up_emits_nothing(server: RedisServer) -> None:
    """It emits while the verdict on its delivery waits to be sent."""
    settle = lua.load("settle")
    given_up, begun, emitted = threading.Event(), asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    watch = Watch()
    async with proxied(server.socket) as proxy, App(proxy.url) as app:

        @app.handler("slow", timeout=0.05, retries=0)
        def slow(job: Job) -> None:
            loop.call_soon_threadsafe(begun.set)
            given_up.wait(20)
            job.emit("b", stream="out")
            loop.call_soon_threadsafe(emitted.set)

        @app.handler("first")
        async def first() -> None:
            pass

        with server.client() as client:
            client.script_load(settle.source)
            async with running(app, observers=[watch], settings=QUIET) as worker:
                held = proxy.hold_reply(settle.sha.encode())
                await app.produce("first")
                await held.reached.wait()
                await app.produce("slow")
                [consumer] = worker.consumers
                await together(begun)
                await eventually(lambda: not consumer.runners.running)
                given_up.set()
                await together(emitted)
                held.release()
                await watch.until(lambda: len(watch.verdicts) == 2)
            assert not client.exists("out")
    assert watch.outcomes == [Outcome.SUCCEEDED, Outcome.DEAD]
