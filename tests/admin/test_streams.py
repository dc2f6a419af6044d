"""How far the groups of a stream are, and the server with all its streams."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
import pytest
import redis

from streamq import App
from streamq.admin import Admin, PendingJob
from tests.servers import RedisServer
from tests.situations import GROUP, fail, make_idle, read, succeed

pytestmark = pytest.mark.anyio


async def test_the_clock_of_the_server(admin: Admin, client: redis.Redis) -> None:
    seconds, micros = client.time()
    assert seconds + micros / 1_000_000 <= await admin.time()


async def rows(jobs: AsyncIterator[PendingJob]) -> list[PendingJob]:
    return [job async for job in jobs]


async def test_what_a_group_holds(
    app: App, server: RedisServer, client: redis.Redis, admin: Admin
) -> None:
    ids = [str(job) for job in await app.produce_many(("resize", {"n": n}) for n in range(7))]
    await fail(server.unix_url, retries=0, jobs=2)
    await fail(server.unix_url, retries=3, jobs=1)
    read(client, "a", 2)
    make_idle(client, ids[4], 3600)
    [group] = await admin.groups("jobs")
    assert (group.queued, group.pending, group.dead) == (2, 3, 2)
    assert (group.running, group.retrying, group.stalled) == (1, 1, 1)
    assert [consumer.name for consumer in group.consumers] == ["a"]
    assert (group.alive, group.gone) == (1, 0)
    assert group.oldest == ids[2]
    [group] = await Admin(app.server, lease=0).groups("jobs")
    assert (group.running, group.retrying, group.stalled) == (0, 1, 2)
    assert (group.alive, group.gone) == (0, 1)


async def test_the_group_that_pins_the_stream(
    app: App, server: RedisServer, client: redis.Redis, admin: Admin
) -> None:
    ids = [str(job) for job in await app.produce_many(("resize", {"n": n}) for n in range(3))]
    client.xgroup_create("jobs", "audit", "0")
    await succeed(server.unix_url)
    stream = await admin.stream("jobs")
    assert (stream.length, stream.oldest, stream.pinned_by) == (3, ids[0], ("audit",))
    assert stream.pinned_since == pytest.approx(int(ids[0].split("-")[0]) / 1000)

    await succeed(server.unix_url, group="audit")
    stream = await admin.stream("jobs")
    assert (stream.length, stream.oldest, stream.pinned_by) == (0, None, ())
    assert stream.pinned_since is None


async def test_both_groups_pin_what_neither_has_settled(
    app: App, client: redis.Redis, admin: Admin
) -> None:
    [first, _] = [str(job) for job in await app.produce_many([("resize", {}), ("resize", {})])]
    read(client, "a", group="audit")
    client.xgroup_create("jobs", "images", "0")
    stream = await admin.stream("jobs")
    assert (stream.oldest, stream.pinned_by) == (first, ("audit", "images"))


async def test_the_lag_is_counted_where_the_server_does_not_know_it(
    app: App, client: redis.Redis, admin: Admin
) -> None:
    ids = [str(job) for job in await app.produce_many(("resize", {}) for _ in range(10))]
    read(client, "a", 3)
    client.xdel("jobs", ids[5])
    [raw] = client.xinfo_groups("jobs")
    assert raw["lag"] is None
    [group] = await admin.groups("jobs")
    assert group.queued == 6
    client.xgroup_create("jobs", "late", "0")
    assert {g.name: g.queued for g in await admin.groups("jobs")} == {"images": 6, "late": 9}


async def test_a_lag_that_takes_too_long_to_count_is_unknown(
    app: App, client: redis.Redis, admin: Admin
) -> None:
    ids = [str(job) for job in await app.produce_many(("resize", {}) for _ in range(10_400))]
    client.xgroup_create("jobs", "images", ids[5_150])
    client.xdel("jobs", ids[7_000])
    [group] = await admin.groups("jobs")
    assert group.queued is None


async def test_a_foreign_group_is_shown(app: App, client: redis.Redis, admin: Admin) -> None:
    await app.produce("resize")
    read(client, "a", group="some group\x07")
    [group] = await admin.groups("jobs")
    assert (group.name, group.pending, group.dead) == ("some group\x07", 1, 0)
    assert await rows(admin.pending("jobs")) == []


async def test_scheduled_jobs_are_counted(app: App, admin: Admin) -> None:
    await app.produce("resize")
    await app.produce("resize", delay=3600)
    assert (await admin.stream("jobs")).scheduled == 1


async def test_info_finds_streams_and_no_keys_of_streamqs_own(
    app: App, server: RedisServer, client: redis.Redis, admin: Admin
) -> None:
    await app.produce("resize")
    await fail(server.unix_url, retries=0)
    await app.produce("resize", stream="{eu}:mails")
    client.set("cache", "x")
    client.xadd("bad\x01name", {"a": "b"})
    info = await admin.info()
    assert info.complete
    assert [(stream.name, stream.length) for stream in info.streams] == [
        ("jobs", 0), ("{eu}:mails", 1),
    ]  # fmt: skip
    assert [group.dead for group in info.streams[0].groups] == [1]
    assert info.server.name in ("valkey", "redis")
    assert info.warnings == []
    assert orjson.loads(orjson.dumps(info.to_dict()))["streams"][0]["name"] == "jobs"


async def test_dead_letters_outlive_their_group_and_are_shown(
    app: App, server: RedisServer, client: redis.Redis, admin: Admin
) -> None:
    await app.produce("resize")
    await fail(server.unix_url, retries=0)
    client.xgroup_destroy("jobs", GROUP)
    [stream] = (await admin.info()).streams
    assert (stream.groups, stream.orphaned_dead_letters) == ((), {GROUP: 1})
