"""Producing that waits for replicas: real ones, that keep up, stand still or take over."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import redis

from streamq import App
from streamq.errors import ConfigError, NotReplicated, ServerRefused
from streamq.produce.many import CHUNK, Pair
from tests.lua.support import ids_of
from tests.servers import RedisServer
from tests.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PATIENCE = 30.0
SHORT = 0.05
"""Seconds to wait for a replica that will not answer."""


@pytest.fixture
def primary(make_server: Callable[..., RedisServer]) -> RedisServer:
    return make_server("--repl-diskless-sync-delay", "0")


@pytest.fixture
def replica(primary: RedisServer, make_server: Callable[..., RedisServer]) -> Iterator[RedisServer]:
    replica = make_server("--replicaof", f"127.0.0.1 {primary.port}")
    until = time.monotonic() + PATIENCE
    with replica.client() as client:
        while client.info()["master_link_status"] != "up":
            assert time.monotonic() < until, replica.log()
            time.sleep(0.01)
    yield replica
    replica.signal(signal.SIGCONT)


@pytest.fixture
def client(primary: RedisServer) -> Iterator[redis.Redis]:
    with primary.client() as client:
        yield client


@pytest.fixture
async def app(primary: RedisServer, replica: RedisServer) -> AsyncIterator[App]:
    async with App(primary.unix_url, replicas=1, replica_timeout=PATIENCE) as app:
        yield app


@pytest.fixture
async def hasty(primary: RedisServer, replica: RedisServer) -> AsyncIterator[App]:
    """An app that does not wait for long."""
    async with App(primary.unix_url, replicas=1, replica_timeout=SHORT) as app:
        yield app


WAYS: dict[str, Callable[[App], Any]] = {
    "now": lambda app: app.produce("t"),
    "once": lambda app: app.produce("t", unique="k"),
    "later": lambda app: app.produce("t", delay=3600),
    "later, once": lambda app: app.produce("t", delay=3600, unique="k"),
    "many": lambda app: app.produce_many([("t", {}), ("t", {})]),
}


def written(client: redis.Redis) -> list[str]:
    """The IDs of jobs, and the names of those for later."""
    later: Any = client.zrange("{jobs}:scheduled", 0, -1)
    return [*ids_of(client), *later]


async def until_written(client: redis.Redis) -> None:
    await eventually(lambda: ids_of(client))


@pytest.mark.parametrize("way", WAYS)
async def test_a_replica_has_what_was_produced(app: App, replica: RedisServer, way: str) -> None:
    replica.signal(signal.SIGSTOP)
    producing = asyncio.create_task(WAYS[way](app))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(producing), SHORT)
    replica.signal(signal.SIGCONT)

    result = await producing
    with replica.client() as client:
        assert written(client) == [job.id for job in (result if way == "many" else [result])]


@pytest.mark.parametrize("way", WAYS)
async def test_a_replica_that_stands_still(
    hasty: App, replica: RedisServer, client: redis.Redis, way: str
) -> None:
    replica.signal(signal.SIGSTOP)
    with pytest.raises(
        NotReplicated, match=r"written, but 0 of 1 replicas acknowledged .* within 0\.05 s: "
    ) as caught:
        await WAYS[way](hasty)

    assert caught.value.job_ids == written(client)
    assert caught.value.job_ids[0] in str(caught.value)
    # Nobody is served the reply of another, over the same connection.
    replica.signal(signal.SIGCONT)
    connections = len(client.client_list())
    assert (await hasty.produce("u")).id == ids_of(client)[-1]
    assert len(client.client_list()) == connections


@pytest.mark.parametrize("way", ["once", "later, once"])
async def test_produced_again_with_its_key(
    hasty: App, primary: RedisServer, replica: RedisServer, client: redis.Redis, way: str
) -> None:
    replica.signal(signal.SIGSTOP)
    with pytest.raises(NotReplicated) as first:
        await WAYS[way](hasty)
    # Over a connection that has not written it, either.
    async with App(primary.unix_url, replicas=1, replica_timeout=SHORT) as another:
        with pytest.raises(NotReplicated) as second:
            await WAYS[way](another)
    replica.signal(signal.SIGCONT)

    [id] = written(client)
    assert first.value.job_ids == second.value.job_ids == [id]
    ttl = client.pttl("{jobs}:unique:k")
    async with App(primary.unix_url, replicas=1, replica_timeout=PATIENCE) as another:
        assert (await WAYS[way](another)).id == id
    assert 0 < client.pttl("{jobs}:unique:k") <= ttl
    with replica.client() as copy:
        assert written(copy) == [id]


async def test_fewer_replicas_than_asked_for(
    primary: RedisServer, replica: RedisServer, client: redis.Redis
) -> None:
    async with App(primary.unix_url, replicas=2, replica_timeout=SHORT) as app:
        with pytest.raises(NotReplicated, match="but 1 of 2 replicas") as caught:
            await app.produce("t")
    assert caught.value.job_ids == ids_of(client)


async def test_no_more_is_written_once_a_replica_stands_still(
    hasty: App, replica: RedisServer, client: redis.Redis
) -> None:
    def jobs() -> Iterator[Pair]:
        for n in range(4 * CHUNK):
            if n == CHUNK:
                replica.signal(signal.SIGSTOP)
            yield "t", {"n": n}

    with pytest.raises(NotReplicated, match=f"^{CHUNK} jobs, ") as caught:
        await hasty.produce_many(jobs())
    assert caught.value.job_ids == ids_of(client)
    assert len(caught.value.job_ids) == 2 * CHUNK


async def test_many_jobs_in_order(app: App, replica: RedisServer) -> None:
    ids = [job.id for job in await app.produce_many(("t", {"n": n}) for n in range(2 * CHUNK + 1))]
    with replica.client() as client:
        assert ids_of(client) == ids


async def test_those_before_a_bad_job_are_replicated(app: App, replica: RedisServer) -> None:
    with pytest.raises(OSError, match="gone"):
        await app.produce_many(_broken())
    with replica.client() as client:
        assert len(ids_of(client)) == 1


def _broken() -> Iterator[Pair]:
    yield "t", {}
    raise OSError("the file has gone")


async def test_a_user_who_may_not_wait(primary: RedisServer, client: redis.Redis) -> None:
    client.acl_setuser(
        "eve", enabled=True, passwords=["+x"], keys=["*"], categories=["+@all"], commands=["-wait"]
    )
    async with App(f"redis://eve:x@127.0.0.1:{primary.port}", replicas=1) as app:
        with pytest.raises(
            NotReplicated, match="whether replicas have it is not known: "
        ) as caught:
            await app.produce("t")
    assert caught.value.job_ids == ids_of(client)


@pytest.mark.parametrize("way", WAYS)
async def test_what_is_refused_is_not_written(app: App, client: redis.Redis, way: str) -> None:
    client.config_set("maxmemory", "1")
    with pytest.raises(ServerRefused, match="maxmemory"):
        await WAYS[way](app)
    client.config_set("maxmemory", "0")
    assert written(client) == []


async def test_a_cancelled_wait_leaves_no_reply_behind(
    app: App, replica: RedisServer, client: redis.Redis
) -> None:
    replica.signal(signal.SIGSTOP)
    producing = asyncio.create_task(app.produce("t"))
    await until_written(client)
    producing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await producing
    replica.signal(signal.SIGCONT)

    assert (await app.produce("u")).id == ids_of(client)[-1]


async def test_what_a_replica_has_survives_the_primary(
    app: App, primary: RedisServer, replica: RedisServer
) -> None:
    replica.signal(signal.SIGSTOP)
    producing = asyncio.create_task(app.produce("t"))
    with primary.client() as client:
        await until_written(client)
    replica.signal(signal.SIGCONT)
    id = (await producing).id
    primary.kill()

    with replica.client() as client:
        client.replicaof("NO", "ONE")
        assert ids_of(client) == [id]


async def test_nobody_waits_unasked(primary: RedisServer, client: redis.Redis) -> None:
    async with App(primary.unix_url) as app:
        for way in WAYS.values():
            await way(app)
    assert "cmdstat_wait" not in client.info("commandstats")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"replicas": -1}, "replicas=-1: give how many"),
        ({"replicas": 1, "replica_timeout": 0}, "replica_timeout=0: give seconds"),
        ({"replicas": 1, "replica_timeout": float("nan")}, "replica_timeout=nan"),
    ],
)
async def test_numbers_that_cannot_be_used(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        App("redis://localhost", **options)
