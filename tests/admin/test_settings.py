"""Retention, rewinding and replays through ``app.admin``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from streamq import App
from streamq.admin import Admin, Replayed, RewoundGroup
from streamq.errors import ConfigError, GroupNotFound, StillInUse, StreamNotFound
from tests.servers import RedisServer
from tests.situations import GROUP, read, succeed

pytestmark = pytest.mark.anyio


@pytest.fixture
def dead(app: App) -> Admin:
    """One that takes every consumer for gone."""
    return Admin(app.server, lease=0)


async def settled(app: App, server: RedisServer, count: int = 5) -> list[str]:
    """Jobs that are settled, and kept."""
    await app.admin.set_stream("jobs", retain="7d")
    ids = [job.id for job in await app.produce_many([("t", {})] * count)]
    await succeed(server.unix_url)
    return ids


def lag(client: redis.Redis, group: str = GROUP) -> Any:
    return next(g["lag"] for g in client.xinfo_groups("jobs") if g["name"] == group)


async def test_settings_are_kept_and_taken_back(
    app: App, server: RedisServer, client: redis.Redis, admin: Admin
) -> None:
    assert (await admin.settings("jobs")).retain is None
    ids = await settled(app, server)
    assert (await admin.settings("jobs")).retain == 7 * 86400
    changed = await admin.set_stream("jobs", abandon_after="3d")
    assert (changed.retain, changed.abandon_after) == (7 * 86400, 3 * 86400)
    changed = await admin.set_stream("jobs", abandon_after=0, group="audit")
    assert changed.abandon_group_after == {"audit": 0}
    assert len(ids) == client.xlen("jobs")
    changed = await admin.set_stream("jobs", retain=0, abandon_after=0)
    assert (changed.retain, changed.abandon_after) == (None, None)
    assert client.xlen("jobs") == 0
    assert await admin.set_stream("nothing", retain=0) is not None
    with pytest.raises(ConfigError, match="retain='soon'"):
        await admin.set_stream("jobs", retain="soon")


async def test_what_is_kept_is_no_backlog(app: App, server: RedisServer, admin: Admin) -> None:
    await settled(app, server, 1200)
    info = await admin.stream("jobs")
    assert (info.length, info.retain, info.oldest, info.pinned_by) == (1200, 7 * 86400, None, ())
    assert [(group.name, group.queued) for group in info.groups] == [(GROUP, 0)]
    assert await admin.group_names("jobs") == [GROUP]
    found = await admin.backlogs({"jobs": [GROUP]})
    assert {place: one.queued for place, one in found.items()} == {("jobs", GROUP): 0}


async def test_a_lag_that_is_not_known_is_no_more_than_was_counted(
    app: App, server: RedisServer, client: redis.Redis, admin: Admin
) -> None:
    ids = await settled(app, server, 2500)
    client.xgroup_create("jobs", "audit", ids[1200])
    assert lag(client, "audit") is None
    found = await admin.backlogs({"jobs": ["audit"]})
    assert found["jobs", "audit"].queued == 1000


async def test_a_group_for_what_came_since_a_time(
    app: App, server: RedisServer, client: redis.Redis, admin: Admin
) -> None:
    ids = await settled(app, server, 3)
    moment = datetime.fromtimestamp(int(ids[0].partition("-")[0]) / 1000, UTC)
    assert await admin.create_group("jobs", "all", moment)
    assert await admin.create_group("jobs", "none", moment + timedelta(minutes=1))
    assert await admin.create_group("jobs", "text", moment.isoformat())
    assert await admin.create_group("jobs", "rest", ids[0])
    assert lag(client, "rest") == 2, "it is told how many there are"
    assert read(client, "a", 9, "all") == read(client, "a", 9, "text") == ids
    assert read(client, "a", 9, "none") == []
    for bad in (moment.replace(tzinfo=None), "2026-11-01T00:00", "yesterday"):
        with pytest.raises(ConfigError, match=r"time zone|not a valid start"):
            await admin.create_group("jobs", "bad", bad)


async def test_a_group_is_rewound(
    app: App, server: RedisServer, client: redis.Redis, admin: Admin
) -> None:
    ids = await settled(app, server)
    would = await admin.rewind_group("jobs", GROUP, ids[2], dry_run=True)
    assert would == RewoundGroup(ids[2], 2, 0)
    assert read(client, "a", 9) == []
    with pytest.raises(StillInUse, match="its consumer a is alive"):
        await admin.rewind_group("jobs", GROUP, "0")
    client.xgroup_delconsumer("jobs", GROUP, "a")
    assert await admin.rewind_group("jobs", GROUP, ids[2]) == would
    assert lag(client) == 2
    assert read(client, "a", 9) == ids[3:]


async def test_a_rewind_with_pending_jobs(
    app: App, server: RedisServer, client: redis.Redis, dead: Admin
) -> None:
    ids = await settled(app, server)
    more = [job.id for job in await app.produce_many([("t", {})] * 3)]
    read(client, "lost", 2)
    with pytest.raises(StillInUse, match="has 2 pending jobs after that place"):
        await dead.rewind_group("jobs", GROUP, "0")
    assert await dead.rewind_group("jobs", GROUP, "0", force=True) == RewoundGroup("0-0", 7, 2)
    assert read(client, "a", 99) == [*ids, *more]


async def test_a_rewind_that_leads_nowhere(
    app: App, server: RedisServer, client: redis.Redis, dead: Admin
) -> None:
    with pytest.raises(StreamNotFound):
        await dead.rewind_group("jobs", GROUP, "0")
    await settled(app, server)
    with pytest.raises(GroupNotFound, match=f"its only group is {GROUP}"):
        await dead.rewind_group("jobs", "audit", "0")
    later = [job.id for job in await app.produce_many([("t", {})] * 2)]
    with pytest.raises(ConfigError, match="no way back"):
        await dead.rewind_group("jobs", GROUP, later[1])
    with pytest.raises(ConfigError, match="no way back"):
        await dead.rewind_group("jobs", GROUP, "$")


async def test_a_replay_is_for_one_group(
    app: App, server: RedisServer, client: redis.Redis, admin: Admin
) -> None:
    ids = await settled(app, server, 2)
    queued = (await app.produce("t")).id
    done = await admin.replay("jobs", GROUP, [ids[0], queued, "1-1"])
    assert done[0].new_id is not None
    assert done[1:] == [
        Replayed(queued, None, "the group has not come to it yet"),
        Replayed("1-1", None, done[2].error),
    ]
    assert "was not retained" in done[2].error
    status = await admin.status("jobs", done[0].new_id)
    assert (status.origin, status.only_for) == (ids[0], GROUP)
    with pytest.raises(GroupNotFound):
        await admin.replay("jobs", "audit", ids)
    with pytest.raises(ConfigError, match="not a job ID"):
        await admin.replay("jobs", GROUP, ["x"])


async def test_what_is_noted_of_a_group_goes_with_it(
    app: App, client: redis.Redis, dead: Admin
) -> None:
    await dead.create_group("jobs", "audit")
    await dead.set_stream("jobs", abandon_after=60, group="audit")
    client.hset("{jobs}:settings", mapping={"abandoned:audit": 5000, "given_up:audit": 3})
    info = await dead.stream("jobs")
    assert info.to_dict()["abandoned"] == {"audit": {"since": 5.0, "unread": 3}}
    await dead.delete_group("jobs", "audit")
    assert not client.exists("{jobs}:settings")
