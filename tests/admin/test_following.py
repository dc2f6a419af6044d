"""Following jobs as it happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import aclosing, asynccontextmanager

import pytest
import redis

from streamq import App, Backoff, Dead, Job
from streamq.admin import Followed
from streamq.errors import AuthenticationFailed, ConfigError, GroupNotFound, StreamNotFound
from tests.lua.support import command
from tests.servers import RedisServer
from tests.situations import add, make_idle, read
from tests.worker.support import PATIENCE, drain, eventually

pytestmark = pytest.mark.anyio


class Follower:
    """Follows, from the notice on that it does."""

    def __init__(self, events: AsyncIterator[Followed]) -> None:
        self._events = events

    async def next(self) -> Followed:
        async with asyncio.timeout(PATIENCE):
            return await anext(self._events)

    async def take(self, count: int) -> list[Followed]:
        return [await self.next() for _ in range(count)]

    async def until(self, state: str) -> list[Followed]:
        """All up to the first one of a state, that one included."""
        found = [await self.next()]
        while found[-1].state != state:
            found.append(await self.next())
        return found


@asynccontextmanager
async def follow(
    app: App, group: str | None = None, types: Collection[str] = (), states: Collection[str] = ()
) -> AsyncIterator[Follower]:
    async with aclosing(app.admin.follow("jobs", group, types=types, states=states)) as events:
        follower = Follower(events)
        first = await follower.next()
        assert (first.state, first.is_notice) == ("following", True)
        yield follower


def handlers(app: App) -> None:
    @app.group("images", retries=1, backoff=Backoff(base=0, cap=0)).handler("*")
    async def handle(job: Job) -> None:
        if job.type == "bad":
            raise Dead("no good")
        if job.type == "slow" and job.attempt == 1:
            raise OSError("no answer")


@pytest.fixture
def stream(client: redis.Redis) -> None:
    client.xgroup_create("jobs", "images", mkstream=True)


async def test_a_job_and_what_becomes_of_it(app: App, stream: None, client: redis.Redis) -> None:
    handlers(app)
    await app.produce("old")
    async with follow(app) as follower:
        job = await app.produce("slow", {"file": "a.png"})
        queued = await follower.next()
        [group] = client.xinfo_groups("jobs")
        assert (group["consumers"], group["last-delivered-id"]) == (0, "0-0"), "it is not touched"
        assert (queued.state, queued.id, queued.type) == ("queued", job.id, "slow")
        assert (queued.preview, queued.group) == ('{"file":"a.png"}', None)
        watch = await drain(app)
        events = await follower.take(3)
    old, retrying, done = sorted(events, key=lambda event: (event.id or "", event.at))
    assert (old.state, old.type) == ("succeeded", "old")
    assert (retrying.state, retrying.group, retrying.attempt) == ("retrying", "images", 1)
    assert (retrying.error, retrying.next_attempt) == ("OSError: no answer", 0)
    assert retrying.consumer == watch.verdicts[0].job.consumer
    assert retrying.seconds is not None
    assert (done.state, done.attempt, done.error) == ("succeeded", 2, None)
    assert queued.at <= retrying.at <= done.at
    assert done.to_dict()["state"] == "succeeded"


async def test_what_is_wanted(app: App, stream: None) -> None:
    handlers(app)
    async with (
        follow(app, states=["dead"]) as dead,
        follow(app, types=["b*", "slow"], states=["queued", "retrying"]) as some,
    ):
        for type in ("ok", "bad", "slow"):
            await app.produce(type)
        await drain(app)
        [event] = await dead.take(1)
        assert (event.type, event.reason, event.error) == ("bad", "gave up", "no good")
        assert [(event.state, event.type) for event in await some.take(3)] == [
            ("queued", "bad"), ("queued", "slow"), ("retrying", "slow"),
        ]  # fmt: skip


async def test_one_group_of_several(app: App, stream: None, client: redis.Redis) -> None:
    handlers(app)
    app.group("audit").handler("*")(lambda: None)
    client.xgroup_create("jobs", "audit", "0")
    async with follow(app, "audit") as follower:
        add(client, {"type": "t", "data": "{}", "for": "images"})
        job = await app.produce("bad")
        await drain(app)
        events = await follower.take(3)
    assert [(event.state, event.group) for event in events if event.id == job.id] == [
        ("queued", None), ("succeeded", "audit"),
    ]  # fmt: skip
    assert [event.state for event in events if event.id != job.id] == ["skipped"]


async def test_a_group_that_is_created_meanwhile(
    app: App, stream: None, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamq.admin.following.NEW_GROUPS", 0.01)
    async with follow(app) as follower:
        client.xgroup_create("jobs", "late", "$")
        await eventually(lambda: client.pubsub_shardnumsub("{jobs}:group:late:tail")[0][1])
        app.group("late").handler("*")(lambda: None)
        await app.produce("t")
        await drain(app)
        assert [event.group for event in await follower.take(2)] == [None, "late"]


async def test_a_lost_worker_is_told(app: App, stream: None, client: redis.Redis) -> None:
    handlers(app)
    job_id = add(client, {"type": "t", "data": "{}"})
    read(client, "lost")
    make_idle(client, job_id, 60)
    async with follow(app) as follower:
        await drain(app)
        reclaimed, done = await follower.take(2)
    assert (reclaimed.state, reclaimed.consumer, reclaimed.attempt) == ("reclaimed", "lost", 1)
    assert (done.state, done.attempt) == ("succeeded", 2)


async def test_a_connection_that_is_lost(app: App, stream: None, client: redis.Redis) -> None:
    async with follow(app) as follower:
        first = await app.produce("t")
        assert (await follower.next()).id == first.id
        for kind in ("pubsub", "normal"):
            command(client, "CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        second = add(client, {"type": "t", "data": "{}"})
        events = await follower.until("following")
        while all(event.id != second for event in events):
            events.append(await follower.next())
    assert events[0].state == "lost"
    assert (events[0].error or "").startswith("Connection lost from ")
    assert [event.id for event in events if event.id] == [second]


async def test_a_server_that_starts_anew(make_server: Callable[..., RedisServer]) -> None:
    server = make_server("--appendonly", "yes", "--appendfsync", "always")
    async with App(server.unix_url) as app:
        handlers(app)
        await app.admin.create_group("jobs", "images")
        async with follow(app) as follower:
            server.kill()
            assert (await follower.next()).state == "lost"
            server.start()
            assert (await follower.next()).state == "following"
            await app.produce("t")
            await drain(app)
            assert [event.state for event in await follower.take(2)] == ["queued", "succeeded"]


async def test_a_slow_reader_is_told_how_many_it_has_missed(
    app: App, stream: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamq.admin.following.BUFFER", 5)
    handlers(app)
    async with follow(app) as follower:
        await app.produce_many([("t", {})] * 50)
        await drain(app)
        told = missed = 0
        while told + missed < 100:
            event = await follower.next()
            assert (event.missed is None) == (event.state != "missed")
            missed += event.missed or 0
            told += event.id is not None
        assert told + missed == 100
        assert missed >= 80


async def test_what_cannot_be_followed(app: App, stream: None) -> None:
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(StreamNotFound):
            await anext(app.admin.follow("other"))
        with pytest.raises(GroupNotFound, match="no group audit"):
            await anext(app.admin.follow("jobs", "audit"))
    with pytest.raises(ConfigError, match="'stalled' is not a state: use queued, "):
        app.admin.follow("jobs", states=["stalled"])
    with pytest.raises(ConfigError, match=r"types='t': give a list, types=\['t'\]"):
        app.admin.follow("jobs", types="t")


@pytest.mark.parametrize("token", ["-ssubscribe", "resetchannels", "-xread"])
async def test_who_may_not_listen_is_told_so(
    app: App, stream: None, server: RedisServer, client: redis.Redis, token: str
) -> None:
    await app.produce("t")
    command(client, "ACL", "SETUSER", "deaf", "reset", "on", ">pw", "~*", "&*", "+@all", token)
    try:
        async with App(f"unix://deaf:pw@{server.socket}") as deaf:
            events = deaf.admin.follow("jobs")
            async with asyncio.timeout(PATIENCE):
                with pytest.raises(AuthenticationFailed):
                    async for _ in events:
                        pass
    finally:
        command(client, "ACL", "DELUSER", "deaf")
