"""Groups made and deleted: nothing is lost for those that stay."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest
import redis

from streamq import App, Job
from streamq.admin import Admin, DeletedGroup
from streamq.admin.groups import PRUNED_AT_ONCE
from streamq.errors import ConfigError, GroupNotFound, StillInUse, StreamNotFound, WrongKeyType
from streamq.wire.keys import group_keys
from tests.servers import RedisServer
from tests.situations import GROUP, entries, fail, read, running, succeed

pytestmark = pytest.mark.anyio


@pytest.fixture
def admin(app: App) -> Admin:
    """One that takes every consumer for gone."""
    return Admin(app.server, lease=0)


async def test_a_new_group_starts_where_it_is_told(
    app: App, client: redis.Redis, admin: Admin
) -> None:
    assert await admin.create_group("jobs", "first")
    ids = [str(job) for job in await app.produce_many(("resize", {}) for _ in range(3))]
    assert await admin.create_group("jobs", "all")
    assert await admin.create_group("jobs", "later", "$")
    assert await admin.create_group("jobs", "rest", ids[0])
    assert not await admin.create_group("jobs", "all", "$")
    left = {name: len(read(client, "a", 9, name)) for name in ("first", "all", "later", "rest")}
    assert left == {"first": 3, "all": 3, "later": 0, "rest": 2}


async def test_what_cannot_be_a_group(client: redis.Redis, admin: Admin, app: App) -> None:
    with pytest.raises(ConfigError, match="is not a valid group name"):
        await admin.create_group("jobs", "my group")
    with pytest.raises(ConfigError, match="not a valid start"):
        await admin.create_group("jobs", "images", "yesterday")
    assert not client.exists("jobs")
    client.set("text", "x")
    with pytest.raises(WrongKeyType):
        await admin.create_group("text", "images")


async def test_deleting_a_group_removes_what_only_it_had_kept(
    app: App, server: RedisServer, client: redis.Redis, admin: Admin
) -> None:
    total = PRUNED_AT_ONCE * 2 + 50
    ids = [str(job) for job in await app.produce_many(("resize", {}) for _ in range(total))]
    client.xgroup_create("jobs", "audit", "0")
    read(client, "lost", 10)  # images holds ten, and never comes to the rest
    await fail(server.unix_url, retries=3, jobs=2)
    # audit settles all but one that it holds and 30 that are queued
    read(client, "busy", total - 30, "audit")
    client.xack("jobs", "audit", *ids[:100], *ids[101 : total - 30])
    assert client.xlen("jobs") == total

    assert await admin.delete_group("jobs", GROUP) == DeletedGroup(total - 31, 0)
    assert list(entries(client)) == [ids[100], *ids[total - 30 :]]
    assert [group["name"] for group in client.xinfo_groups("jobs")] == ["audit"]
    records = [key for key in client.keys("*") if ":job:" in key]
    assert set(client.keys("*")) == {"jobs", *records}
    assert all(client.ttl(key) > 0 for key in records)


async def test_every_job_of_a_busy_group_still_runs_once_when_another_is_deleted(
    app: App, client: redis.Redis, admin: Admin
) -> None:
    ids = [str(job) for job in await app.produce_many(("resize", {}) for _ in range(2000))]
    client.xgroup_create("jobs", "audit", "0")
    read(client, "lost", 1500)
    seen: list[str] = []
    well_begun = anyio.Event()

    @app.handler("*")
    async def see(job: Job) -> None:
        seen.append(job.id)
        if len(seen) == 300:
            well_begun.set()
        await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as background:
        background.start_soon(app.worker(groups=["audit"], burst=True).run)
        await well_begun.wait()
        await admin.delete_group("jobs", GROUP)
    assert sorted(seen) == sorted(ids)
    assert client.xlen("jobs") == 0


async def test_the_last_group_leaves_all_entries_for_the_next(
    app: App, client: redis.Redis, admin: Admin
) -> None:
    ids = [str(job) for job in await app.produce_many(("resize", {}) for _ in range(3))]
    read(client, "lost", 2)
    assert await admin.delete_group("jobs", GROUP) == DeletedGroup(0, 0)
    assert read(client, "a", 9, "next") == ids


async def test_dead_letters_stay_unless_they_are_to_go(
    app: App, server: RedisServer, client: redis.Redis, admin: Admin
) -> None:
    dlq = group_keys("jobs", GROUP).dlq
    await app.produce("resize")
    await fail(server.unix_url, retries=0)
    assert await admin.delete_group("jobs", GROUP) == DeletedGroup(0, 0)
    assert client.xlen(dlq) == 1

    await admin.create_group("jobs", GROUP)
    assert await admin.delete_group("jobs", GROUP, dead_letters=True) == DeletedGroup(0, 1)
    assert not client.exists(dlq)


async def test_a_group_in_use_stays(app: App, server: RedisServer, client: redis.Redis) -> None:
    admin = app.admin
    await app.produce("resize")
    async with running(server.unix_url) as consumer:
        with pytest.raises(StillInUse, match=f"{consumer} is alive; stop it first"):
            await admin.delete_group("jobs", GROUP)
        [group] = client.xinfo_groups("jobs")
        assert (group["name"], group["pending"]) == (GROUP, 1)
    await admin.delete_group("jobs", GROUP)
    assert client.xinfo_groups("jobs") == []


async def test_a_group_with_only_waiting_retries_is_not_in_use(
    app: App, server: RedisServer, client: redis.Redis
) -> None:
    await app.produce("resize")
    await fail(server.unix_url, retries=3)
    await app.admin.delete_group("jobs", GROUP)
    assert client.xinfo_groups("jobs") == []


async def test_a_group_in_use_can_be_deleted_by_force(app: App, client: redis.Redis) -> None:
    await app.produce("resize")
    read(client, "busy")
    await app.admin.delete_group("jobs", GROUP, force=True)
    assert client.xinfo_groups("jobs") == []


async def test_pruning_finishes_what_was_interrupted(
    app: App, server: RedisServer, client: redis.Redis, admin: Admin
) -> None:
    await app.produce_many(("resize", {}) for _ in range(3))
    client.xgroup_create("jobs", "audit", "0")
    await succeed(server.unix_url, group="images")
    client.xgroup_destroy("jobs", "audit")
    assert client.xlen("jobs") == 3
    assert await admin.prune("jobs") == 3
    assert await admin.prune("jobs") == 0


async def test_nothing_is_deleted_when_the_dead_letters_are_none(
    app: App, client: redis.Redis, admin: Admin
) -> None:
    await app.produce("resize")
    read(client, "lost")
    client.set(group_keys("jobs", GROUP).dlq, "x")
    with pytest.raises(WrongKeyType):
        await admin.delete_group("jobs", GROUP, dead_letters=True)
    assert client.xpending("jobs", GROUP)["pending"] == 1


async def test_no_such_group_and_no_such_stream(client: redis.Redis, admin: Admin) -> None:
    with pytest.raises(StreamNotFound):
        await admin.delete_group("jobs", GROUP)
    client.xgroup_create("jobs", "audit", mkstream=True)
    with pytest.raises(GroupNotFound):
        await admin.delete_group("jobs", GROUP)
