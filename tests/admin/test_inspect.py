"""The answers of the Inspector, each for jobs brought into that state by real workers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import orjson
import pytest
import redis

from streamq import App
from streamq.admin import Inspector, PendingJob
from streamq.admin.reading import PAGE
from streamq.errors import ConfigError, GroupNotFound, JobNotFound, StreamNotFound, WrongKeyType
from streamq.wire.keys import group_keys
from tests.servers import RedisServer
from tests.situations import GROUP, add, fail, make_idle, read, running, succeed

pytestmark = pytest.mark.anyio


@pytest.fixture
def inspector(app: App) -> Inspector:
    return Inspector(app.server)


async def rows(jobs: AsyncIterator[PendingJob]) -> list[PendingJob]:
    return [job async for job in jobs]


# -- pending ------------------------------------------------------------------


async def test_a_running_job(app: App, server: RedisServer, inspector: Inspector) -> None:
    job_id = (await app.produce("resize", {"file": "a.png"})).id
    async with running(server.unix_url) as consumer:
        [job] = await rows(inspector.pending("jobs"))
    assert (job.id, job.type, job.group, job.state) == (job_id, "resize", GROUP, "running")
    assert (job.consumer, job.consumer_alive) == (consumer, True)
    assert job.deliveries == 1
    assert job.preview == '{"file":"a.png"}'
    assert job.error is None
    assert job.next_retry is None
    assert job.in_stream


async def test_a_job_that_waits_for_its_retry(
    app: App, server: RedisServer, inspector: Inspector
) -> None:
    await app.produce("resize")
    await fail(server.unix_url, retries=3)
    [job] = await rows(inspector.pending("jobs"))
    assert (job.state, job.consumer, job.consumer_alive) == ("retrying", None, None)
    assert (job.deliveries, job.error) == (1, "disk full")
    assert job.next_retry is not None
    assert 3500 < job.next_retry <= 3600


async def test_a_job_whose_retry_time_was_lost_still_shows_as_retrying(
    app: App, server: RedisServer, client: redis.Redis, inspector: Inspector
) -> None:
    await app.produce("resize")
    await fail(server.unix_url, retries=3)
    client.delete(group_keys("jobs", GROUP).retry)
    [job] = await rows(inspector.pending("jobs"))
    assert (job.state, job.next_retry) == ("retrying", None)


async def test_a_stalled_job(app: App, client: redis.Redis) -> None:
    await app.produce("resize")
    read(client, "lost")
    [job] = await rows(Inspector(app.server, lease=0).pending("jobs"))
    assert (job.state, job.consumer, job.consumer_alive) == ("stalled", "lost", False)


async def test_a_job_that_a_live_consumer_has_forgotten_is_stalled(
    app: App, client: redis.Redis, inspector: Inspector
) -> None:
    await app.produce("resize")
    [job_id] = read(client, "forgetful")
    make_idle(client, job_id, 3600)
    [job] = await rows(inspector.pending("jobs"))
    assert (job.state, job.consumer_alive) == ("stalled", True)
    assert job.idle >= 3600


async def test_filters(
    app: App, server: RedisServer, client: redis.Redis, inspector: Inspector
) -> None:
    ids = [job.id for job in await app.produce_many(("resize", {"n": n}) for n in range(4))]
    await fail(server.unix_url, retries=3)
    read(client, "a", 2)
    read(client, "b")
    make_idle(client, ids[1], 3600)

    async def found(**filters: Any) -> list[str]:
        return [job.id for job in await rows(inspector.pending("jobs", GROUP, **filters))]

    assert await found() == ids
    assert await found(consumer="a") == ids[1:3]
    assert await found(min_idle=60) == [ids[1]]
    assert await found(states=["retrying"]) == [ids[0]]
    assert await found(states=["stalled", "retrying"]) == ids[:2]
    assert await found(states=["running"], consumer="a") == [ids[2]]
    assert await found(states=["retrying"], consumer="a") == []
    assert await found(limit=2) == ids[:2]
    assert await found(limit=0) == []


async def test_every_group_in_turn(app: App, client: redis.Redis, inspector: Inspector) -> None:
    job_id = (await app.produce("resize")).id
    read(client, "a", group="audit")
    read(client, "b", group="images")
    found = [(job.group, job.id, job.consumer) for job in await rows(inspector.pending("jobs"))]
    assert found == [("audit", job_id, "a"), ("images", job_id, "b")]


async def test_more_rows_than_a_page_and_values_longer_than_a_script_reads_at_once(
    app: App, client: redis.Redis, inspector: Inspector
) -> None:
    data = {"blob": "x" * 600_000}
    ids = [
        job.id
        for job in await app.produce_many(("resize", data if n < 5 else {}) for n in range(2105))
    ]
    read(client, "a", 3000)
    found = await rows(inspector.pending("jobs"))
    assert [job.id for job in found] == ids
    assert found[4].preview.startswith('{"blob":"xxx')
    assert len(found[4].preview) == 120
    assert found[5].preview == "{}"


async def test_deliveries_allowed_where_they_are_known(app: App, client: redis.Redis) -> None:
    await app.produce_many([("resize", {}), ("other", {})])
    read(client, "a", 2)
    allowed = {("jobs", GROUP, "resize"): 4}
    inspector = Inspector(app.server, allowed=lambda *job: allowed.get(job))
    found = await rows(inspector.pending("jobs"))
    assert [job.deliveries_allowed for job in found] == [4, None]


async def test_an_entry_that_somebody_deleted_while_it_was_pending(
    app: App, client: redis.Redis, inspector: Inspector
) -> None:
    job_id = (await app.produce("resize")).id
    read(client, "a")
    client.xdel("jobs", job_id)
    [job] = await rows(inspector.pending("jobs"))
    assert (job.id, job.in_stream, job.preview) == (job_id, False, "")


async def test_the_preview_of_a_foreign_entry_is_safe_to_print(
    app: App, server: RedisServer, client: redis.Redis, inspector: Inspector
) -> None:
    add(client, {"file": "a\x1b[2J", "type": "resize"})
    add(client, {"data": b"\xff\x00 no JSON\n"})
    add(client, {"type": b"\xff", "file": "b"})
    with server.client(decode_responses=False) as raw:
        read(raw, "a", 3)
    first, second, third = await rows(inspector.pending("jobs"))
    assert (first.type, first.preview) == ("resize", '{"file":"a\\u001b[2J"}')
    assert second.preview == "\\xff\\x00 no JSON\\x0a"
    assert (third.type, third.preview) == ("\\xff", '{"file":"b"}')


async def test_reading_changes_nothing(
    app: App, server: RedisServer, client: redis.Redis, inspector: Inspector
) -> None:
    await app.produce("resize")
    await fail(server.unix_url, retries=3)
    read(client, "a")
    before = {key: client.dump(key) for key in client.keys("*")}
    await rows(inspector.pending("jobs"))
    await inspector.info()
    assert {key: client.dump(key) for key in client.keys("*")} == before


async def test_a_row_that_has_changed_since_it_was_found_is_left_out(
    app: App, client: redis.Redis, inspector: Inspector
) -> None:
    ids = [job.id for job in await app.produce_many(("resize", {}) for _ in range(PAGE + 50))]
    read(client, "a", len(ids))
    found: list[str] = []
    async for job in inspector.pending("jobs", states=["running"]):
        if not found:
            make_idle(client, ids[PAGE + 10], 3600)
            client.xack("jobs", GROUP, ids[PAGE + 20])
        found.append(job.id)
    assert set(ids) - set(found) == {ids[PAGE + 10], ids[PAGE + 20]}


async def test_a_busy_stream_shows_no_ghosts(
    app: App, server: RedisServer, inspector: Inspector
) -> None:
    ids = [job.id for job in await app.produce_many(("resize", {"n": n}) for n in range(3000))]
    finished = anyio.Event()

    async def work() -> None:
        await succeed(server.unix_url)
        finished.set()

    found: list[PendingJob] = []
    states: set[str] = set()
    async with anyio.create_task_group() as background:
        background.start_soon(work)
        while not finished.is_set():
            found += [job async for job in inspector.pending("jobs")]
            for job_id in ids[::500]:
                states |= {group.state for group in (await inspector.status("jobs", job_id)).groups}
    assert all(job.in_stream for job in found)
    assert {job.state for job in found} <= {"running"}
    assert states <= {"queued", "running", "succeeded"}


async def test_a_row_as_plain_data(app: App, client: redis.Redis, inspector: Inspector) -> None:
    job_id = (await app.produce("resize")).id
    read(client, "a")
    [job] = await rows(inspector.pending("jobs"))
    plain = orjson.loads(orjson.dumps(job.to_dict()))
    assert plain["id"] == job_id
    assert plain["state"] == "running"


async def test_no_stream_no_group_no_such_state(
    app: App, client: redis.Redis, inspector: Inspector
) -> None:
    with pytest.raises(StreamNotFound, match="no stream jobs"):
        await rows(inspector.pending("jobs"))
    await app.produce("resize")
    assert await rows(inspector.pending("jobs")) == []
    with pytest.raises(GroupNotFound, match="it has no groups at all"):
        await rows(inspector.pending("jobs", "images"))
    client.xgroup_create("jobs", "audit")
    with pytest.raises(GroupNotFound, match="its only group is audit"):
        await rows(inspector.pending("jobs", "images"))
    with pytest.raises(ConfigError, match="not a state"):
        await rows(inspector.pending("jobs", states=["late"]))
    client.set("text", "x")
    with pytest.raises(WrongKeyType):
        await rows(inspector.pending("text"))


# -- status -------------------------------------------------------------------


async def test_the_status_of_a_job_is_told_for_every_group(
    app: App, server: RedisServer, client: redis.Redis, inspector: Inspector
) -> None:
    job_id = (await app.produce("resize", {"file": "a.png"})).id
    client.xgroup_create("jobs", "late", "0")
    client.xgroup_create("jobs", "later", "$")
    read(client, "lost", group="audit")
    await succeed(server.unix_url, {"width": 64})

    job = await inspector.status("jobs", job_id)
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
    assert job.created_at <= done.finished_at + 1
    assert by_group["audit"].consumer == "lost"
    assert by_group["later"].note


async def test_a_status_is_derived_and_follows_the_job(
    app: App, server: RedisServer, inspector: Inspector
) -> None:
    job_id = (await app.produce("resize", {"file": "a.png"})).id

    async with running(server.unix_url) as consumer:
        [group] = (await inspector.status("jobs", job_id)).groups
        assert (group.state, group.consumer, group.consumer_alive) == ("running", consumer, True)

    job_id = (await app.produce("resize", {"file": "b.png"})).id
    await fail(server.unix_url, retries=1, delay=0)
    [group] = (await inspector.status("jobs", job_id)).groups
    assert (group.state, group.attempts, group.error) == ("retrying", 1, "disk full")
    assert group.next_retry == 0
    assert group.failed_at is not None

    await fail(server.unix_url, retries=0)
    job = await inspector.status("jobs", job_id)
    [group] = job.groups
    assert (group.state, group.attempts) == ("dead", 2)
    assert (group.reason, group.error) == (
        "retries exhausted",
        "RuntimeError: no such\\x1b[31m file",
    )
    assert (job.in_stream, job.type, job.raw) == (False, "resize", b'{"file":"b.png"}')
    assert group.died_at is not None


async def test_a_job_that_succeeded_is_known_by_its_record(
    app: App, server: RedisServer, inspector: Inspector
) -> None:
    job_id = (await app.produce("resize", {"file": "a.png"})).id
    await succeed(server.unix_url)
    job = await inspector.status("jobs", job_id)
    assert (job.in_stream, job.type, job.raw) == (False, "resize", b'{"file":"a.png"}')
    assert [group.state for group in job.groups] == ["succeeded"]


async def test_stalled_and_skipped_and_deleted(
    app: App, server: RedisServer, client: redis.Redis
) -> None:
    inspector = Inspector(app.server, lease=0)
    job_id = add(client, {"type": "resize", "data": "{}", "for": GROUP})
    read(client, "lost")
    await succeed(server.unix_url, group="audit")
    job = await inspector.status("jobs", job_id)
    assert {group.group: group.state for group in job.groups} == {
        "audit": "skipped", GROUP: "stalled",
    }  # fmt: skip
    assert job.only_for == GROUP
    client.xdel("jobs", job_id)
    [group] = (await inspector.status("jobs", job_id, GROUP)).groups
    assert group.note == "its entry has been deleted from the stream by somebody else"


async def test_an_expired_job(app: App, server: RedisServer, client: redis.Redis) -> None:
    job_id = add(client, {"type": "resize", "data": "{}", "expires": 1})
    await succeed(server.unix_url)
    [group] = (await Inspector(app.server).status("jobs", job_id)).groups
    assert (group.state, group.note) == ("expired", "expired before its turn came")


async def test_a_job_without_a_trace(app: App, client: redis.Redis, inspector: Inspector) -> None:
    client.xgroup_create("jobs", GROUP, mkstream=True)
    with pytest.raises(JobNotFound, match="no trace of the job 1-1"):
        await inspector.status("jobs", "1-1")
    with pytest.raises(ConfigError, match="not a job ID"):
        await inspector.status("jobs", "first")
    with pytest.raises(StreamNotFound):
        await inspector.status("other", "1-1")


async def test_data_that_is_no_json_is_shown_as_text(
    app: App, client: redis.Redis, inspector: Inspector
) -> None:
    job_id = add(client, {"data": b"\xfe{"})
    client.xgroup_create("jobs", GROUP)
    plain = (await inspector.status("jobs", job_id)).to_dict()
    assert plain["data"] is None
    assert plain["raw"] == "\\xfe{"


# -- groups -------------------------------------------------------------------


async def test_what_a_group_holds(
    app: App, server: RedisServer, client: redis.Redis, inspector: Inspector
) -> None:
    ids = [job.id for job in await app.produce_many(("resize", {"n": n}) for n in range(7))]
    await fail(server.unix_url, retries=0, jobs=2)
    await fail(server.unix_url, retries=3, jobs=1)
    read(client, "a", 2)
    make_idle(client, ids[4], 3600)
    [group] = await inspector.groups("jobs")
    assert (group.queued, group.pending, group.dead) == (2, 3, 2)
    assert (group.running, group.retrying, group.stalled) == (1, 1, 1)
    assert [consumer.name for consumer in group.consumers] == ["a"]
    assert (group.alive, group.gone) == (1, 0)
    assert group.oldest == ids[2]
    [group] = await Inspector(app.server, lease=0).groups("jobs")
    assert (group.running, group.retrying, group.stalled) == (0, 1, 2)
    assert (group.alive, group.gone) == (0, 1)


async def test_the_group_that_pins_the_stream(
    app: App, server: RedisServer, client: redis.Redis, inspector: Inspector
) -> None:
    ids = [job.id for job in await app.produce_many(("resize", {"n": n}) for n in range(3))]
    client.xgroup_create("jobs", "audit", "0")
    await succeed(server.unix_url)
    stream = await inspector.stream("jobs")
    assert (stream.length, stream.oldest, stream.pinned_by) == (3, ids[0], ("audit",))
    assert stream.pinned_since == pytest.approx(int(ids[0].split("-")[0]) / 1000)

    await succeed(server.unix_url, group="audit")
    stream = await inspector.stream("jobs")
    assert (stream.length, stream.oldest, stream.pinned_by) == (0, None, ())
    assert stream.pinned_since is None


async def test_both_groups_pin_what_neither_has_settled(
    app: App, client: redis.Redis, inspector: Inspector
) -> None:
    [first, _] = [job.id for job in await app.produce_many([("resize", {}), ("resize", {})])]
    read(client, "a", group="audit")
    client.xgroup_create("jobs", "images", "0")
    stream = await inspector.stream("jobs")
    assert (stream.oldest, stream.pinned_by) == (first, ("audit", "images"))


async def test_the_lag_is_counted_where_the_server_does_not_know_it(
    app: App, client: redis.Redis, inspector: Inspector
) -> None:
    ids = [job.id for job in await app.produce_many(("resize", {}) for _ in range(10))]
    read(client, "a", 3)
    client.xdel("jobs", ids[5])
    [raw] = client.xinfo_groups("jobs")
    assert raw["lag"] is None
    [group] = await inspector.groups("jobs")
    assert group.queued == 6
    client.xgroup_create("jobs", "late", "0")
    assert {g.name: g.queued for g in await inspector.groups("jobs")} == {"images": 6, "late": 9}


async def test_a_lag_that_takes_too_long_to_count_is_unknown(
    app: App, client: redis.Redis, inspector: Inspector
) -> None:
    ids = [job.id for job in await app.produce_many(("resize", {}) for _ in range(10_400))]
    client.xgroup_create("jobs", "images", ids[5_150])
    client.xdel("jobs", ids[7_000])
    [group] = await inspector.groups("jobs")
    assert group.queued is None


async def test_a_foreign_group_is_shown(
    app: App, client: redis.Redis, inspector: Inspector
) -> None:
    await app.produce("resize")
    read(client, "a", group="some group\x07")
    [group] = await inspector.groups("jobs")
    assert (group.name, group.pending, group.dead) == ("some group\x07", 1, 0)
    assert await rows(inspector.pending("jobs")) == []


# -- info ---------------------------------------------------------------------


async def test_scheduled_jobs_are_counted(app: App, inspector: Inspector) -> None:
    await app.produce("resize")
    await app.produce("resize", delay=3600)
    assert (await inspector.stream("jobs")).scheduled == 1


async def test_info_finds_streams_and_no_keys_of_streamqs_own(
    app: App, server: RedisServer, client: redis.Redis, inspector: Inspector
) -> None:
    await app.produce("resize")
    await fail(server.unix_url, retries=0)
    await app.produce("resize", stream="{eu}:mails")
    client.set("cache", "x")
    client.xadd("bad\x01name", {"a": "b"})
    info = await inspector.info()
    assert info.complete
    assert [(stream.name, stream.length) for stream in info.streams] == [
        ("jobs", 0), ("{eu}:mails", 1),
    ]  # fmt: skip
    assert [group.dead for group in info.streams[0].groups] == [1]
    assert info.server.name in ("valkey", "redis")
    assert info.warnings == []
    assert orjson.loads(orjson.dumps(info.to_dict()))["streams"][0]["name"] == "jobs"


async def test_dead_letters_outlive_their_group_and_are_shown(
    app: App, server: RedisServer, client: redis.Redis, inspector: Inspector
) -> None:
    await app.produce("resize")
    await fail(server.unix_url, retries=0)
    client.xgroup_destroy("jobs", GROUP)
    [stream] = (await inspector.info()).streams
    assert (stream.groups, stream.left_dead) == ((), {GROUP: 1})
