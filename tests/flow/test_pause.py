"""Pause and resume: a group, or one type in it; for all workers, and those that come later."""

from __future__ import annotations

import asyncio

import pytest
import redis

from streamq import App, NewJob, Settings
from streamq.admin import Admin
from streamq.errors import ConfigError, GroupNotFound
from tests.servers import RedisServer
from tests.worker.support import QUIET, drain, eventually, running

pytestmark = pytest.mark.anyio

STATE = "{jobs}:group:g:state"


@pytest.fixture
def ran(app: App) -> list[str]:
    """The types of the jobs that have run."""
    seen: list[str] = []
    group = app.group("g")

    @group.handler("mail")
    async def mail() -> None:
        seen.append("mail")

    @group.handler("news")
    async def news() -> None:
        seen.append("news")

    return seen


async def test_a_paused_group_begins_nothing_and_a_resumed_one_does(
    app: App, client: redis.Redis, ran: list[str]
) -> None:
    client.xgroup_create("jobs", "g", "0", mkstream=True)
    assert await app.admin.pause("jobs", "g")
    assert not await app.admin.pause("jobs", "g")
    async with running(app, settings=QUIET) as worker:
        await app.produce_many([("mail", {})] * 3)
        consumer = worker.consumers[0]
        await eventually(lambda: consumer.fetcher.paused)
        assert client.xpending("jobs", "g")["pending"] == 0
        [group] = await app.admin.groups("jobs")
        assert (group.queued, group.state.paused_since is not None) == (3, True)
        assert await app.admin.resume("jobs", "g")
        assert not await app.admin.resume("jobs", "g")
        await eventually(lambda: ran == ["mail"] * 3)
    assert not client.exists(STATE)


async def test_what_waits_for_a_handler_is_given_back(app: App, client: redis.Redis) -> None:
    go_on, begun = asyncio.Event(), list[int]()

    @app.group("g").handler("slow", batch=2)
    async def slow(jobs: list[object]) -> None:
        begun.append(len(jobs))
        await go_on.wait()

    await app.produce_many([("slow", {})] * 4)
    settings = Settings(result_ttl=0, concurrency=1)
    async with running(app, settings=settings) as worker:
        await eventually(lambda: len(worker.consumers[0].in_flight) >= 2 and begun)
        await app.admin.pause("jobs", "g")
        await eventually(lambda: worker.consumers[0].fetcher.paused)
        await eventually(lambda: len(worker.consumers[0].in_flight) == begun[0])
        go_on.set()
        await eventually(lambda: len(worker.consumers[0].in_flight) == 0)
        assert len(begun) == 1
        await app.admin.resume("jobs", "g")
        await eventually(lambda: sum(begun) == 4)
    assert client.xlen("jobs") == 0


async def test_a_pause_outlives_its_workers(
    server: RedisServer, app: App, client: redis.Redis, ran: list[str]
) -> None:
    await app.produce("mail")
    await drain(app)
    await app.admin.pause("jobs", "g")
    async with App(server.unix_url) as other:
        other.group("g").handler("mail")(lambda: ran.append("other"))
        async with running(other, settings=QUIET) as worker:
            await app.produce("mail")
            await eventually(lambda: worker.consumers[0].fetcher.paused)
    assert ran == ["mail"]
    await app.admin.resume("jobs", "g")
    await drain(app)
    assert ran == ["mail", "mail"]


async def test_one_type_is_held_and_the_others_go_on(
    app: App, client: redis.Redis, ran: list[str]
) -> None:
    client.xgroup_create("jobs", "g", "0", mkstream=True)
    await app.admin.pause("jobs", "g", type="news")
    await app.produce_many([("news", {}), ("mail", {}), ("news", {}), ("mail", {})])
    async with running(app, settings=QUIET):
        await eventually(lambda: len(ran) == 2)
        assert ran == ["mail", "mail"]
        held = [job async for job in app.admin.pending("jobs", "g")]
        assert [(job.type, job.state, job.held_for) for job in held] == [
            ("news", "held", "paused")
        ] * 2
        assert [job.attempt for job in held] == [0, 0]
        await app.admin.resume("jobs", "g", type="news")
        await eventually(lambda: ran == ["mail", "mail", "news", "news"])
    assert client.keys("*") == ["jobs"]


async def test_a_paused_type_keeps_its_key(app: App) -> None:
    """What comes after it in the order of the key waits, too."""
    order = list[str]()
    group = app.group("g", order=True)

    @group.handler("*")
    async def any_type(n: int) -> None:
        order.append(str(n))

    @group.handler("news")
    async def news(n: int) -> None:
        order.append(f"news {n}")

    await app.produce("mail", {"n": 0})
    await drain(app)
    await app.admin.pause("jobs", "g", type="news")
    await app.produce_many(
        NewJob(type, {"n": n}, key=key)
        for n, (type, key) in enumerate([("news", "x"), ("mail", "x"), ("mail", "y")])
    )
    async with running(app, settings=QUIET):
        await eventually(lambda: order == ["0", "2"])
        await app.admin.resume("jobs", "g", type="news")
        await eventually(lambda: order == ["0", "2", "news 0", "1"])


async def test_rules_change_while_a_group_works(app: App, client: redis.Redis) -> None:
    most, now = 0, 0

    @app.group("g", max_in_flight=1).handler("a")
    async def a() -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001)
        now -= 1

    await app.produce_many([("a", {})] * 3)
    await drain(app)
    assert most == 1
    state = await app.admin.set_rules("jobs", "g", max_in_flight=4, rate=None)
    assert state.limits == {"max_in_flight": 4, "rate": None}
    await app.produce_many([("a", {})] * 60)
    await drain(app)
    assert most == 4
    assert (await app.admin.set_rules("jobs", "g", max_in_flight="default")).limits == {
        "rate": None
    }
    most = 0
    await app.produce_many([("a", {})] * 3)
    await drain(app)
    assert most == 1


async def test_what_cannot_be_set(app: App, client: redis.Redis) -> None:
    admin: Admin = app.admin
    client.xgroup_create("jobs", "g", "0", mkstream=True)
    with pytest.raises(ConfigError, match="speed is no rule of a group: give order, limit_per"):
        await admin.set_rules("jobs", "g", speed=1)
    with pytest.raises(ConfigError, match="rate='0/s': nothing would ever run"):
        await admin.set_rules("jobs", "g", rate="0/s")
    await admin.set_rules("jobs", "g", order=True)
    with pytest.raises(ConfigError, match="limit_per_key=3 contradicts it"):
        await admin.set_rules("jobs", "g", limit_per_key=3)
    with pytest.raises(GroupNotFound):
        await admin.pause("jobs", "nobody")
    assert client.hgetall(STATE) == {"limit:order": "true"}


async def test_a_state_that_makes_no_sense_stops_nobody(
    app: App, client: redis.Redis, ran: list[str]
) -> None:
    client.hset(STATE, mapping={"limit:rate": "{", "limit:order": '"yes', "x": "y", "paused:": "?"})
    client.hset(STATE, "limit:max_in_flight", "-3")
    await app.produce("mail")
    await drain(app)
    assert ran == ["mail"]
