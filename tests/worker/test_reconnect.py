"""A server that goes away and comes back: said once, nothing lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import redis

from streamq import App, Job, Settings, lua
from streamq.errors import OutcomeUnknown, ServerUnavailable
from streamq.signals import Refused, ServerBack, ServerLost
from tests.lua.support import Group, command, ids_of
from tests.servers import RedisServer
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


def kill_clients(client: redis.Redis) -> None:
    """Break all connections but one's own."""
    command(client, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


async def test_a_server_that_is_restarted(make_server: Callable[..., RedisServer]) -> None:
    server = make_server("--appendonly", "yes", "--appendfsync", "always")
    begun, go_on = asyncio.Event(), asyncio.Event()
    seen: list[int] = []

    async with App(server.unix_url) as app:

        @app.handler("t", backoff=AT_ONCE)
        async def handle(job: Job, n: int) -> None:
            if n == 0:
                begun.set()
                await together(go_on)
            seen.append(n)

        ids = [job.id for job in await app.produce_many(("t", {"n": n}) for n in range(50))]
        watch = Watch()
        settings = Settings(concurrency=2, result_ttl=0)
        async with running(app, observers=[watch], settings=settings):
            await together(begun)
            server.kill()
            go_on.set()
            await watch.until(lambda: watch.of(ServerLost))
            await watch.until(lambda: 0 in seen)
            server.start()
            await watch.until(lambda: watch.of(ServerBack) and len(watch.verdicts) == 50)
            with server.client() as client:
                assert ids_of(client) == []
        assert sorted({v.job.id for v in watch.verdicts}) == sorted(ids)
        assert set(watch.outcomes) == {Outcome.SUCCEEDED}
        assert len(watch.of(ServerLost)) == len(watch.of(ServerBack)) == 1
        assert isinstance(watch.of(ServerLost)[0].error, ServerUnavailable)
        assert watch.of(Refused) == []


async def test_a_server_that_comes_back_without_its_data(
    make_server: Callable[..., RedisServer],
) -> None:
    server = make_server()
    async with App(server.unix_url) as app:
        seen: list[int] = []

        @app.handler("t")
        async def handle(n: int) -> None:
            seen.append(n)

        watch = Watch()
        async with running(app, observers=[watch], settings=QUIET):
            await app.produce("t", {"n": 0})
            await watch.until(lambda: watch.verdicts)
            server.kill()
            await watch.until(lambda: watch.of(ServerLost))
            server.start()
            await watch.until(lambda: watch.of(ServerBack))
            await app.produce("t", {"n": 1})
            await watch.until(lambda: seen == [0, 1])


async def test_broken_connections(app: App, client: redis.Redis) -> None:
    @app.handler("t", retries=0)
    async def handle(n: int) -> None:
        if n % 50 == 0:
            kill_clients(client)
        await asyncio.sleep(0)

    ids = [job.id for job in await app.produce_many(("t", {"n": n}) for n in range(200))]
    watch = await drain(app, settings=Settings(concurrency=4, lease=0.5, result_ttl=0))
    assert {v.job.id for v in watch.verdicts if v.outcome is Outcome.SUCCEEDED} == set(ids)
    assert client.keys("*") == ["jobs"]


async def test_a_stop_while_the_server_is_away(make_server: Callable[..., RedisServer]) -> None:
    server = make_server()
    async with App(server.unix_url) as app:
        app.handler("t")(lambda: None)
        watch = Watch()
        async with running(app, observers=[watch]):
            await eventually(lambda: server.client().exists("jobs"))
            server.kill()
            await watch.until(lambda: watch.of(ServerLost))


async def test_verdicts_wait_for_the_server(
    app: App, client: redis.Redis, server: RedisServer
) -> None:
    """It refuses all writes for a while, as without its replicas or its disk."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.handler("t", retries=0)
    async def handle() -> None:
        begun.set()
        await together(go_on)

    await app.produce("t")
    watch = Watch()
    async with running(app, observers=[watch], settings=QUIET):
        await together(begun)
        client.config_set("min-replicas-to-write", 1)
        try:
            go_on.set()
            await watch.until(lambda: watch.of(ServerLost))
            assert watch.verdicts == []
        finally:
            client.config_set("min-replicas-to-write", 0)
        await watch.until(lambda: watch.verdicts and watch.of(ServerBack))
    assert watch.outcomes == [Outcome.SUCCEEDED]
    assert "NOREPLICAS" in str(watch.of(ServerLost)[0].error)
    assert watch.of(ServerLost)[0].error.passing  # type: ignore[attr-defined]  # a ServerError


async def test_a_full_server_goes_on_settling(make_server: Callable[..., RedisServer]) -> None:
    server = make_server()
    async with App(server.unix_url) as app:

        @app.handler("t", retries=1, backoff=AT_ONCE)
        async def handle(job: Job, n: int) -> None:
            job.emit("next", stream="out")
            if n % 2 and job.attempt == 1:
                raise ValueError("again")

        await app.produce_many(("t", {"n": n}) for n in range(20))
        app.group("default", ignore=["next"])
        with server.client() as client:
            # Even a worker that starts now can work, where its group exists.
            client.xgroup_create("jobs", "default", id="0")
            client.config_set("maxmemory", "1")
            watch = await drain(app)
            assert client.xlen("jobs") == 0
            assert client.xlen("out") == 20
    assert watch.outcomes.count(Outcome.SUCCEEDED) == 20
    assert watch.of(ServerLost) == []


@pytest.mark.parametrize("script", ["settle", "claim_due", "reclaim", "extend"])
async def test_a_reply_of_a_script_that_is_lost(
    server: RedisServer, client: redis.Redis, script: str
) -> None:
    attempts: dict[int, list[int]] = {}

    async with proxied(server.socket) as proxy, App(proxy.url) as app:

        @app.handler("t", retries=3, backoff=AT_ONCE)
        async def handle(job: Job, n: int) -> None:
            attempts.setdefault(n, []).append(job.attempt)
            job.emit("next", {"n": n}, stream="out")
            if script == "extend":
                await proxy.lost.wait()  # a heartbeat comes only where there is work
            await asyncio.sleep(0.01)
            if job.attempt < 2:
                raise ValueError("again")

        await app.produce_many(("t", {"n": n}) for n in range(20))
        proxy.lose_reply(lua.load(script).sha.encode(), times=3)
        watch = await drain(app, settings=Settings(concurrency=4, lease=0.3, result_ttl=0))
    assert proxy.lost.is_set()
    assert watch.outcomes.count(Outcome.SUCCEEDED) == 20
    assert attempts == {n: [1, 2] for n in range(20)}
    assert watch.of(Refused) == []
    assert client.xlen("out") == 20
    assert sorted(client.keys("*")) == ["jobs", "out"]


async def test_entries_whose_reply_was_lost_are_given_back_uncounted(
    server: RedisServer, client: redis.Redis
) -> None:
    """The server gave them away, and they never arrived; nobody waits for their lease."""
    attempts: list[int] = []
    async with proxied(server.socket) as proxy, App(proxy.url) as app:

        @app.handler("t", retries=0)
        async def handle(job: Job) -> None:
            attempts.append(job.attempt)

        Group(client, "default")
        await app.produce_many(("t", {}) for _ in range(10))
        proxy.lose_reply(b"XREADGROUP", times=2)
        watch = await drain(app, settings=Settings(lease=60, result_ttl=0))
    assert proxy.lost.is_set()
    assert attempts == [1] * 10
    assert watch.outcomes == [Outcome.SUCCEEDED] * 10


async def test_a_produce_whose_reply_was_lost_says_that_it_does_not_know(
    server: RedisServer, client: redis.Redis
) -> None:
    async with proxied(server.socket) as proxy, App(proxy.url) as app:
        await app.produce("t")
        proxy.lose_reply(b"XADD")
        with pytest.raises(OutcomeUnknown, match="whether the server has carried out"):
            await app.produce("t")
        assert len(ids_of(client)) == 2
        proxy.lose_reply(b"XADD")
        with pytest.raises(OutcomeUnknown):
            await app.produce_many([("t", {})] * 3)
        assert len(ids_of(client)) == 5


@pytest.mark.parametrize("delay", [None, 60.0])
@pytest.mark.parametrize(
    ("options", "script"),
    [
        ({"unique": "k"}, "produce_once"),
        ({}, "schedule"),
        ({"unique": "k", "unique_for": 1e-3}, "produce_unique"),
        ({"unique": "k", "unique_until": "settled"}, "produce_unique"),
        ({"unique": "k", "on_conflict": "replace"}, "produce_unique"),
        ({"unique": "k", "on_conflict": "error"}, "produce_unique"),
    ],
)
async def test_with_a_key_or_a_time_it_is_written_exactly_once(
    server: RedisServer, client: redis.Redis, options: dict[str, Any], script: str,
    delay: float | None,
) -> None:  # fmt: skip
    if not options and delay is None:
        return
    if delay is not None and not {"unique_until", "on_conflict"} & options.keys():
        script = "schedule"
    async with proxied(server.socket) as proxy, App(proxy.url) as app:
        await app.server.info()
        client.script_load(lua.load(script).source)  # so that it is done, and its reply is lost
        proxy.lose_reply(lua.load(script).sha.encode(), times=2)
        job = await app.produce("t", delay=delay, **options)
        assert proxy.lost.is_set()
    assert job.created is (script != "produce_once")
    if delay is not None:
        assert client.zrange("{jobs}:scheduled", 0, -1) == [job.id]
        assert client.xlen("jobs") == 0
    else:
        assert ids_of(client) == [job.id]


async def test_an_idle_connection_that_was_closed_is_no_error(
    app: App, client: redis.Redis
) -> None:
    await app.produce("t")
    kill_clients(client)
    await asyncio.sleep(0.01)
    await app.produce("t")
    assert client.xlen("jobs") == 2
