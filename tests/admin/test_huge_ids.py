"""Entry IDs that a double cannot hold, up to the largest there is, as an operator meets them."""

from __future__ import annotations

import pytest
import redis

from streamq import App
from streamq.admin import Admin, RetryNow
from streamq.errors import ConfigError, StreamqError
from streamq.wire.entry import LARGEST_ID, after, check_id
from streamq.wire.keys import group_keys
from tests.lua.support import HUGE, add_at, command
from tests.servers import RedisServer
from tests.situations import GROUP, entries, fail, make_idle, read, running, succeed

pytestmark = pytest.mark.anyio


@pytest.fixture
def ids(client: redis.Redis) -> list[str]:
    """Jobs with such IDs, written by hand."""
    add_at(client, HUGE)
    return HUGE


def test_what_is_an_id() -> None:
    assert check_id(LARGEST_ID) == LARGEST_ID
    assert after(LARGEST_ID) is None
    for beyond in (f"{2**64}-0", f"0-{2**64}"):
        with pytest.raises(ConfigError, match="not a job ID"):
            check_id(beyond)


async def test_every_question_is_answered_while_they_are_queued(
    client: redis.Redis, admin: Admin, ids: list[str]
) -> None:
    client.xgroup_create("jobs", GROUP, "0")
    [group] = (await admin.info()).streams[0].groups
    assert (group.queued, group.oldest) == (8, ids[0])
    for job_id in ids:
        status = await admin.status("jobs", job_id)
        assert [one.state for one in status.groups] == ["queued"]


async def test_consumed_and_settled(
    app: App, server: RedisServer, client: redis.Redis, admin: Admin, ids: list[str]
) -> None:
    async with running(server.unix_url, jobs=len(ids)) as consumer:
        pending = [job async for job in admin.pending("jobs")]
        assert [(job.id, job.state, job.consumer) for job in pending] == [
            (job_id, "running", consumer) for job_id in ids
        ]
        [group] = (await admin.info()).streams[0].groups
        assert (group.queued, group.running, group.last_delivered) == (0, 8, LARGEST_ID)
        found = await admin.backlogs({"jobs": [GROUP]})
        assert found["jobs", GROUP].pending == 8
    assert client.xlen("jobs") == 0
    assert [group.queued for group in await admin.groups("jobs")] == [0]


async def test_a_burst_ends(server: RedisServer, admin: Admin, ids: list[str]) -> None:
    await succeed(server.unix_url)
    for job_id in ids:
        status = await admin.status("jobs", job_id)
        assert [one.state for one in status.groups] == ["succeeded"]


async def test_retried_until_they_succeed(
    server: RedisServer, admin: Admin, ids: list[str]
) -> None:
    await fail(server.unix_url, retries=3, jobs=len(ids))
    await admin.retry_now("jobs", GROUP, ids)
    await succeed(server.unix_url)
    for job_id in ids:
        [group] = (await admin.status("jobs", job_id)).groups
        assert (group.state, group.attempts) == ("succeeded", 2)


async def test_reclaimed_from_a_lost_worker(
    server: RedisServer, client: redis.Redis, admin: Admin, ids: list[str]
) -> None:
    read(client, "lost", len(ids))
    for job_id in ids:
        make_idle(client, job_id, 3600)
    await succeed(server.unix_url)
    for job_id in ids:
        [group] = (await admin.status("jobs", job_id)).groups
        assert (group.state, group.attempts) == ("succeeded", 2)


async def test_retried_now_and_released(client: redis.Redis, app: App, ids: list[str]) -> None:
    read(client, "lost", 8)
    admin = Admin(app.server, lease=0)
    assert await admin.retry_now("jobs", GROUP, ids[-1:]) == {LARGEST_ID: RetryNow.DUE}
    assert (await admin.release("jobs", GROUP, "lost")).jobs == 7


async def test_dead_letters_listed_found_and_redriven(
    server: RedisServer, client: redis.Redis, admin: Admin, ids: list[str]
) -> None:
    await fail(server.unix_url, retries=0, jobs=8)
    letters = admin.dead_letters("jobs", GROUP)
    assert [letter.job_id async for letter in letters.list()] == ids
    for job_id in ids:
        assert (await letters.get(job_id)).job_id == job_id
        [status] = (await admin.status("jobs", job_id)).groups
        assert (status.state, status.attempts) == ("dead", 1)
    # After the largest ID nothing can be added: what cannot be sent back stays.
    with pytest.raises(StreamqError, match="exhausted the last possible ID"):
        await letters.redrive_all()
    assert await letters.count() == 8
    client.delete("jobs")
    await admin.create_group("jobs", GROUP)
    [redriven] = await letters.redrive([LARGEST_ID])
    assert entries(client)[str(redriven.new_id)]["origin"] == LARGEST_ID
    assert (await letters.redrive_all()).redriven == 7


async def test_dead_letters_purged(client: redis.Redis, admin: Admin, ids: list[str]) -> None:
    read(client, "lost", 8)
    assert set((await admin.dead_letter("jobs", GROUP, ids)).values()) == {True}
    letters = admin.dead_letters("jobs", GROUP)
    assert await letters.purge(ids[-2:]) == {ids[-2]: True, ids[-1]: True}
    assert await letters.purge_all() == 6
    assert not client.exists(group_keys("jobs", GROUP).dlq)


async def test_a_job_from_the_future_is_found_when_that_has_passed(
    client: redis.Redis, admin: Admin
) -> None:
    meta = ("id", "9-0", "reason", "r", "error", "e", "attempts", "1", "consumer", "c")
    command(client, "XADD", group_keys("jobs", GROUP).dlq, "5-0", *meta, "data", "1")
    letters = admin.dead_letters("jobs", GROUP)
    assert (await letters.get("9-0")).id == "5-0"
    assert (await letters.get("5-0")).job_id == "9-0"


async def test_a_group_created_at_the_end_and_deleted(
    client: redis.Redis, admin: Admin, ids: list[str]
) -> None:
    read(client, "lost", 8)
    assert await admin.create_group("jobs", "late", LARGEST_ID)
    assert [(group.name, group.queued) for group in await admin.groups("jobs")] == [
        (GROUP, 0), ("late", 0),
    ]  # fmt: skip
    gone = await admin.delete_group("jobs", GROUP, force=True)
    assert gone.entries == 8
    assert await admin.prune("jobs") == 0
    with pytest.raises(ConfigError, match="not a valid start"):
        await admin.create_group("jobs", "later", str(2**64))
