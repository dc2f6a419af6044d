"""What has become of a job in every group."""

from __future__ import annotations

import pytest
import redis

from streamq import App, Job
from streamq.admin import Admin
from streamq.errors import ConfigError, JobNotFound, StreamNotFound
from tests.servers import RedisServer
from tests.situations import GROUP, add, fail, read, running, succeed

pytestmark = pytest.mark.anyio


async def test_the_status_of_a_job_is_told_for_every_group(
    app: App, server: RedisServer, client: redis.Redis, admin: Admin
) -> None:
    job_id = (await app.produce("resize", {"file": "a.png"})).id
    client.xgroup_create("jobs", "late", "0")
    client.xgroup_create("jobs", "later", "$")
    read(client, "lost", group="audit")
    await succeed(server.unix_url, {"width": 64})

    job = await admin.status("jobs", job_id)
    assert (job.id, job.type, job.raw, job.in_stream) == (
        job_id, "resize", b'{"file":"a.png"}', True,
    )  # fmt: skip
    by_group = {group.group: group for group in job.groups}
    assert {name: group.state for name, group in by_group.items()} == {
        "audit": "running", "images": "succeeded", "late": "queued", "later": "settled",
    }  # fmt: skip
    done = by_group["images"]
    assert (done.attempts, done.result) == (1, {"width": 64})
    assert done.started_at is not None
    assert done.finished_at is not None
    assert job.created_at is not None
    assert job.created_at <= done.finished_at + 1
    assert by_group["audit"].consumer == "lost"
    assert by_group["later"].note


async def test_a_status_is_derived_and_follows_the_job(
    app: App, server: RedisServer, admin: Admin
) -> None:
    job_id = (await app.produce("resize", {"file": "a.png"})).id

    async with running(server.unix_url) as consumer:
        [group] = (await admin.status("jobs", job_id)).groups
        assert (group.state, group.consumer, group.consumer_alive) == ("running", consumer, True)

    job_id = (await app.produce("resize", {"file": "b.png"})).id
    await fail(server.unix_url, retries=1, delay=0)
    [group] = (await admin.status("jobs", job_id)).groups
    assert (group.state, group.attempts, group.error) == ("retrying", 1, "disk full")
    assert group.next_attempt == 0
    assert group.failed_at is not None

    await fail(server.unix_url, retries=0)
    job = await admin.status("jobs", job_id)
    [group] = job.groups
    assert (group.state, group.attempts) == ("dead", 2)
    assert (group.reason, group.error) == (
        "retries exhausted",
        "RuntimeError: no such\\x1b[31m file",
    )
    assert (job.in_stream, job.type, job.raw) == (False, "resize", b'{"file":"b.png"}')
    assert group.dead_since is not None


async def test_a_job_that_succeeded_is_known_by_its_record(
    app: App, server: RedisServer, admin: Admin
) -> None:
    job_id = (await app.produce("resize", {"file": "a.png"})).id
    await succeed(server.unix_url)
    job = await admin.status("jobs", job_id)
    assert (job.in_stream, job.type, job.raw) == (False, "resize", b'{"file":"a.png"}')
    assert [group.state for group in job.groups] == ["succeeded"]


async def test_stalled_and_skipped_and_deleted(
    app: App, server: RedisServer, client: redis.Redis
) -> None:
    admin = Admin(app.server, lease=0)
    job_id = add(client, {"type": "resize", "data": "{}", "for": GROUP})
    read(client, "lost")
    await succeed(server.unix_url, group="audit")
    job = await admin.status("jobs", job_id)
    assert {group.group: group.state for group in job.groups} == {
        "audit": "skipped", GROUP: "stalled",
    }  # fmt: skip
    assert job.only_for == GROUP
    client.xdel("jobs", job_id)
    [group] = (await admin.status("jobs", job_id, GROUP)).groups
    assert group.note == "its entry was deleted from the stream"


async def test_an_expired_job(app: App, server: RedisServer, client: redis.Redis) -> None:
    job_id = add(client, {"type": "resize", "data": "{}", "expires": 1})
    await succeed(server.unix_url)
    [group] = (await Admin(app.server).status("jobs", job_id)).groups
    assert (group.state, group.note) == ("expired", "expired before its turn came")


async def test_a_job_without_a_trace(app: App, client: redis.Redis, admin: Admin) -> None:
    client.xgroup_create("jobs", GROUP, mkstream=True)
    with pytest.raises(JobNotFound, match="no trace of the job 1-1"):
        await admin.status("jobs", "1-1")
    with pytest.raises(ConfigError, match="not a job ID"):
        await admin.status("jobs", "first")
    with pytest.raises(StreamNotFound):
        await admin.status("other", "1-1")


async def test_data_that_is_no_json_is_shown_as_text(
    app: App, client: redis.Redis, admin: Admin
) -> None:
    job_id = add(client, {"data": b"\xfe{"})
    client.xgroup_create("jobs", GROUP)
    plain = (await admin.status("jobs", job_id)).to_dict()
    assert plain["data"] is None
    assert plain["raw"] == "\\xfe{"


async def test_a_job_for_later_is_scheduled_and_then_found_by_its_name(
    app: App, server: RedisServer, admin: Admin
) -> None:
    name = (await app.produce("resize", {"file": "a.png"}, delay=3600)).id
    job = await admin.status("jobs", name)
    assert (job.id, job.type, job.raw) == (
        name, "resize", b'{"file":"a.png"}',
    )  # fmt: skip
    assert (job.is_scheduled, job.in_stream, job.created_at, job.groups) == (True, False, None, ())
    [listed] = [one async for one in admin.scheduled("jobs")]
    assert job.due_at == listed.due_at
    assert job.to_dict()["state"] == "scheduled"

    assert await admin.run_now("jobs", name)
    await succeed(server.unix_url, {"width": 64})
    job = await admin.status("jobs", name)
    assert (job.is_scheduled, job.type, job.to_dict()["state"]) == (False, "resize", None)
    assert [group.state for group in job.groups] == ["succeeded"]
    assert job.id != name
    assert (await admin.status("jobs", job.id)).groups == job.groups


async def test_a_name_that_nobody_knows(app: App, admin: Admin) -> None:
    name = (await app.produce("resize", delay=3600)).id
    await admin.cancel("jobs", name)
    with pytest.raises(JobNotFound, match=f"has no job {name} for later"):
        await admin.status("jobs", name)


async def test_what_a_job_has_emitted_is_in_its_status(app: App, admin: Admin) -> None:
    counts = {"one": 1, "many": 60, "none": 0}

    @app.group(GROUP).handler("*", batch=10)
    async def order(jobs: list[Job]) -> None:
        for job in jobs:
            for n in range(counts[job.type]):
                job.emit("event", {"n": n}, stream="events")

    produced = await app.produce_many([(type, {}) for type in ("none", "one", "none", "many")])
    await app.worker(max_jobs=4).run()
    for job, type in zip(produced, ("none", "one", "none", "many"), strict=True):
        [status] = (await admin.status("jobs", job.id)).groups
        assert status.state == "succeeded"
        assert status.emitted_count == counts[type]
        assert len(status.emitted) == min(counts[type], 50)
        for event in status.emitted:
            assert (await admin.status("events", event.id)).type == "event"
        assert status.to_dict()["emitted"] == [
            {"stream": "events", "id": event.id} for event in status.emitted
        ]
