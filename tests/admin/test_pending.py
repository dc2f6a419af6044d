"""Pending jobs, each brought into its state by real workers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import orjson
import pytest
import redis

from streamq import App
from streamq.admin import Admin, PendingJob
from streamq.admin.reading import PAGE
from streamq.errors import ConfigError, GroupNotFound, StreamNotFound, WrongKeyType
from streamq.wire.keys import group_keys
from tests.servers import RedisServer
from tests.situations import GROUP, add, fail, make_idle, read, running, succeed

pytestmark = pytest.mark.anyio


async def rows(jobs: AsyncIterator[PendingJob]) -> list[PendingJob]:
    return [job async for job in jobs]


async def test_a_running_job(app: App, server: RedisServer, admin: Admin) -> None:
    job_id = (await app.produce("resize", {"file": "a.png"})).id
    async with running(server.unix_url) as consumer:
        [job] = await rows(admin.pending("jobs"))
    assert (job.id, job.type, job.group, job.state) == (job_id, "resize", GROUP, "running")
    assert (job.consumer, job.consumer_alive) == (consumer, True)
    assert job.attempt == 1
    assert job.preview == '{"file":"a.png"}'
    assert job.error is None
    assert job.next_attempt is None
    assert job.in_stream


async def test_a_job_that_waits_for_its_retry(app: App, server: RedisServer, admin: Admin) -> None:
    await app.produce("resize")
    await fail(server.unix_url, retries=3)
    [job] = await rows(admin.pending("jobs"))
    assert (job.state, job.consumer, job.consumer_alive) == ("retrying", None, None)
    assert (job.attempt, job.error) == (1, "disk full")
    assert job.next_attempt is not None
    assert 3500 < job.next_attempt <= 3600


async def test_a_job_whose_retry_time_was_lost_still_shows_as_retrying(
    app: App, server: RedisServer, client: redis.Redis, admin: Admin
) -> None:
    await app.produce("resize")
    await fail(server.unix_url, retries=3)
    client.delete(group_keys("jobs", GROUP).retry)
    [job] = await rows(admin.pending("jobs"))
    assert (job.state, job.next_attempt) == ("retrying", None)


async def test_a_stalled_job(app: App, client: redis.Redis) -> None:
    await app.produce("resize")
    read(client, "lost")
    [job] = await rows(Admin(app.server, lease=0).pending("jobs"))
    assert (job.state, job.consumer, job.consumer_alive) == ("stalled", "lost", False)


async def test_a_job_that_a_live_consumer_has_forgotten_is_stalled(
    app: App, client: redis.Redis, admin: Admin
) -> None:
    await app.produce("resize")
    [job_id] = read(client, "forgetful")
    make_idle(client, job_id, 3600)
    [job] = await rows(admin.pending("jobs"))
    assert (job.state, job.consumer_alive) == ("stalled", True)
    assert job.idle >= 3600


async def test_filters(app: App, server: RedisServer, client: redis.Redis, admin: Admin) -> None:
    ids = [str(job) for job in await app.produce_many(("resize", {"n": n}) for n in range(4))]
    await fail(server.unix_url, retries=3)
    read(client, "a", 2)
    read(client, "b")
    make_idle(client, ids[1], 3600)

    async def found(**filters: Any) -> list[str]:
        return [job.id for job in await rows(admin.pending("jobs", GROUP, **filters))]

    assert await found() == ids
    assert await found(consumer="a") == ids[1:3]
    assert await found(min_idle=60) == [ids[1]]
    assert await found(states=["retrying"]) == [ids[0]]
    assert await found(states=["stalled", "retrying"]) == ids[:2]
    assert await found(states=["running"], consumer="a") == [ids[2]]
    assert await found(states=["retrying"], consumer="a") == []
    assert await found(limit=2) == ids[:2]
    assert await found(limit=0) == []


async def test_every_group_in_turn(app: App, client: redis.Redis, admin: Admin) -> None:
    job_id = (await app.produce("resize")).id
    read(client, "a", group="audit")
    read(client, "b", group="images")
    found = [(job.group, job.id, job.consumer) for job in await rows(admin.pending("jobs"))]
    assert found == [("audit", job_id, "a"), ("images", job_id, "b")]


async def test_more_rows_than_a_page_and_values_longer_than_a_script_reads_at_once(
    app: App, client: redis.Redis, admin: Admin
) -> None:
    data = {"blob": "x" * 600_000}
    ids = [
        str(job)
        for job in await app.produce_many(("resize", data if n < 5 else {}) for n in range(2105))
    ]
    read(client, "a", 3000)
    found = await rows(admin.pending("jobs"))
    assert [job.id for job in found] == ids
    assert found[4].preview.startswith('{"blob":"xxx')
    assert len(found[4].preview) == 120
    assert found[5].preview == "{}"


async def test_max_attempts_where_they_are_known(app: App, client: redis.Redis) -> None:
    await app.produce_many([("resize", {}), ("other", {})])
    read(client, "a", 2)
    allowed = {("jobs", GROUP, "resize"): 4}
    admin = Admin(app.server, allowed=lambda *job: allowed.get(job))
    found = await rows(admin.pending("jobs"))
    assert [job.max_attempts for job in found] == [4, None]


async def test_an_entry_that_somebody_deleted_while_it_was_pending(
    app: App, client: redis.Redis, admin: Admin
) -> None:
    job_id = (await app.produce("resize")).id
    read(client, "a")
    client.xdel("jobs", job_id)
    [job] = await rows(admin.pending("jobs"))
    assert (job.id, job.in_stream, job.preview) == (job_id, False, "")


async def test_the_preview_of_a_foreign_entry_is_safe_to_print(
    app: App, server: RedisServer, client: redis.Redis, admin: Admin
) -> None:
    add(client, {"file": "a\x1b[2J", "type": "resize"})
    add(client, {"data": b"\xff\x00 no JSON\n"})
    add(client, {"type": b"\xff", "file": "b"})
    with server.client(decode_responses=False) as raw:
        read(raw, "a", 3)
    first, second, third = await rows(admin.pending("jobs"))
    assert (first.type, first.preview) == ("resize", '{"file":"a\\u001b[2J"}')
    assert second.preview == "\\xff\\x00 no JSON\\x0a"
    assert (third.type, third.preview) == ("\\xff", '{"file":"b"}')


async def test_reading_changes_nothing(
    app: App, server: RedisServer, client: redis.Redis, admin: Admin
) -> None:
    await app.produce("resize")
    await fail(server.unix_url, retries=3)
    read(client, "a")
    before = {key: client.dump(key) for key in client.keys("*")}
    await rows(admin.pending("jobs"))
    await admin.info()
    assert {key: client.dump(key) for key in client.keys("*")} == before


async def test_a_row_that_has_changed_since_it_was_found_is_left_out(
    app: App, client: redis.Redis, admin: Admin
) -> None:
    ids = [str(job) for job in await app.produce_many(("resize", {}) for _ in range(PAGE + 50))]
    read(client, "a", len(ids))
    found: list[str] = []
    async for job in admin.pending("jobs", states=["running"]):
        if not found:
            make_idle(client, ids[PAGE + 10], 3600)
            client.xack("jobs", GROUP, ids[PAGE + 20])
        found.append(job.id)
    assert set(ids) - set(found) == {ids[PAGE + 10], ids[PAGE + 20]}


async def test_a_busy_stream_shows_no_ghosts(app: App, server: RedisServer, admin: Admin) -> None:
    ids = [str(job) for job in await app.produce_many(("resize", {"n": n}) for n in range(3000))]
    finished = anyio.Event()

    async def work() -> None:
        await succeed(server.unix_url)
        finished.set()

    found: list[PendingJob] = []
    states: set[str] = set()
    async with anyio.create_task_group() as background:
        background.start_soon(work)
        while not finished.is_set():
            found += [job async for job in admin.pending("jobs")]
            for job_id in ids[::500]:
                states |= {group.state for group in (await admin.status("jobs", job_id)).groups}
    assert all(job.in_stream for job in found)
    assert {job.state for job in found} <= {"running"}
    assert states <= {"queued", "running", "succeeded"}


async def test_a_row_as_plain_data(app: App, client: redis.Redis, admin: Admin) -> None:
    job_id = (await app.produce("resize")).id
    read(client, "a")
    [job] = await rows(admin.pending("jobs"))
    plain = orjson.loads(orjson.dumps(job.to_dict()))
    assert plain["id"] == job_id
    assert plain["state"] == "running"


async def test_no_stream_no_group_no_such_state(
    app: App, client: redis.Redis, admin: Admin
) -> None:
    with pytest.raises(StreamNotFound, match="no stream jobs"):
        await rows(admin.pending("jobs"))
    await app.produce("resize")
    assert await rows(admin.pending("jobs")) == []
    with pytest.raises(GroupNotFound, match="it has no groups at all"):
        await rows(admin.pending("jobs", "images"))
    client.xgroup_create("jobs", "audit")
    with pytest.raises(GroupNotFound, match="its only group is audit"):
        await rows(admin.pending("jobs", "images"))
    with pytest.raises(ConfigError, match="not a state"):
        await rows(admin.pending("jobs", states=["late"]))
    client.set("text", "x")
    with pytest.raises(WrongKeyType):
        await rows(admin.pending("text"))


@pytest.mark.parametrize("consumer", [None, "web-1"])
async def test_page_after_page(
    app: App, client: redis.Redis, admin: Admin, consumer: str | None
) -> None:
    ids = [str(job) for job in await app.produce_many(("resize", {}) for _ in range(5))]
    read(client, "web-1", 5)
    found: list[str] = []
    after = None
    while True:
        page = await rows(admin.pending("jobs", GROUP, consumer=consumer, limit=2, after=after))
        if not page:
            break
        found += [job.id for job in page]
        after = found[-1]
    assert found == ids
    with pytest.raises(ConfigError, match="not a job ID"):
        await rows(admin.pending("jobs", GROUP, after="x"))
