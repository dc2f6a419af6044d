"""What an operator does by hand about pending jobs."""

from __future__ import annotations

import anyio
import pytest
import redis

from streamq import App, Job, Settings
from streamq.admin import Admin, Released, RetryNow
from streamq.admin.cures import RELEASED_AT_ONCE
from streamq.errors import ConfigError, ConsumerNotFound, GroupNotFound, StillInUse, StreamNotFound
from streamq.signals import Refused, Signal
from streamq.wire.keys import PARKED
from tests.servers import RedisServer
from tests.situations import GROUP, fail, make_idle, read, running, succeed

pytestmark = pytest.mark.anyio


async def test_a_job_that_waits_is_tried_now(app: App, server: RedisServer, admin: Admin) -> None:
    job_id = (await app.produce("resize")).id
    await fail(server.unix_url, retries=3)
    assert await admin.retry_now("jobs", GROUP, [job_id]) == {job_id: RetryNow.DUE}
    await succeed(server.unix_url)
    [group] = (await admin.status("jobs", job_id)).groups
    assert (group.state, group.attempts) == ("succeeded", 2)


async def test_all_that_wait_are_tried_now(
    app: App, server: RedisServer, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamq.admin.reading.PENDING_PAGE", 3)
    await app.produce_many([("resize", {})] * 8)
    await fail(server.unix_url, retries=3, jobs=8)
    assert await admin.retry_all("jobs", GROUP) == 8
    await succeed(server.unix_url)
    assert await admin.retry_all("jobs", GROUP) == 0
    with pytest.raises(GroupNotFound):
        await admin.retry_all("jobs", "none")


async def test_a_stalled_job_is_tried_now(
    app: App, server: RedisServer, client: redis.Redis, admin: Admin
) -> None:
    job_id = (await app.produce("resize")).id
    read(client, "lost")
    make_idle(client, job_id, 60)
    assert await admin.retry_now("jobs", GROUP, [job_id]) == {job_id: RetryNow.DUE}
    await succeed(server.unix_url)
    [group] = (await admin.status("jobs", job_id)).groups
    assert (group.state, group.attempts) == ("succeeded", 2)


async def test_a_running_job_is_left_alone(app: App, server: RedisServer, admin: Admin) -> None:
    job_id = (await app.produce("resize")).id
    async with running(server.unix_url):
        assert await admin.retry_now("jobs", GROUP, [job_id, "1-1"]) == {
            job_id: RetryNow.RUNNING, "1-1": RetryNow.NOT_PENDING,
        }  # fmt: skip


async def test_a_deleted_entry_is_told(app: App, client: redis.Redis) -> None:
    job_id = (await app.produce("resize")).id
    read(client, "lost")
    client.xdel("jobs", job_id)
    admin = Admin(app.server, lease=0)
    assert await admin.retry_now("jobs", GROUP, [job_id]) == {job_id: RetryNow.DELETED}
    assert client.xpending("jobs", GROUP)["pending"] == 0


async def test_more_jobs_than_a_script_takes_at_once(app: App, client: redis.Redis) -> None:
    ids = [str(job) for job in await app.produce_many(("resize", {}) for _ in range(120))]
    read(client, "lost", 120)
    admin = Admin(app.server, lease=0)
    assert await admin.retry_now("jobs", GROUP, [*ids, ids[0]]) == dict.fromkeys(ids, RetryNow.DUE)
    assert client.xpending("jobs", GROUP)["consumers"] == [{"name": PARKED, "pending": 120}]
    assert await admin.dead_letter("jobs", GROUP, ids) == dict.fromkeys(ids, True)
    assert client.xlen("jobs") == 0


async def test_a_job_goes_to_the_dead_letters_by_hand(
    app: App, server: RedisServer, client: redis.Redis, admin: Admin
) -> None:
    job_id = (await app.produce("resize", {"file": "a.png"})).id
    await fail(server.unix_url, retries=3)
    assert await admin.dead_letter("jobs", GROUP, [job_id, "1-1"], "broken picture") == {
        job_id: True,
        "1-1": False,
    }
    letter = await admin.dead_letters("jobs", GROUP).get(job_id)
    assert (letter.reason, letter.data) == ("by hand", {"file": "a.png"})
    assert letter.error == "broken picture; last error: disk full"
    assert client.xlen("jobs") == 0
    assert client.xpending("jobs", GROUP)["pending"] == 0


async def test_a_running_job_that_is_given_up_is_refused_when_it_ends(
    app: App, server: RedisServer, admin: Admin
) -> None:
    begun, end = anyio.Event(), anyio.Event()
    refused: list[Refused] = []

    @app.handler("*")
    async def resize(job: Job) -> None:
        begun.set()
        await end.wait()

    def observe(event: Signal) -> None:
        if isinstance(event, Refused):
            refused.append(event)

    job_id = (await app.produce("resize")).id
    async with anyio.create_task_group() as background:
        background.start_soon(app.worker(groups=[GROUP], max_jobs=1, observers=[observe]).run)
        await begun.wait()
        assert await admin.dead_letter("jobs", GROUP, [job_id]) == {job_id: True}
        end.set()
    assert [event.verdict.job.id for event in refused] == [job_id]
    assert await admin.dead_letters("jobs", GROUP).count() == 1


# -- release ------------------------------------------------------------------


async def test_what_a_lost_consumer_holds_is_given_back(
    app: App, server: RedisServer, client: redis.Redis
) -> None:
    jobs = RELEASED_AT_ONCE + 1
    await app.produce_many(("resize", {}) for _ in range(jobs))
    read(client, "lost", jobs)
    read(client, "other")
    admin = Admin(app.server, lease=0)
    assert await admin.release("jobs", GROUP, "lost") == Released(jobs, removed=True)
    assert [consumer["name"] for consumer in client.xinfo_consumers("jobs", GROUP)] == [
        "other", PARKED,
    ]  # fmt: skip
    attempts = []

    @app.handler("*")
    async def resize(job: Job) -> None:
        attempts.append(job.attempt)

    await app.worker(groups=[GROUP], burst=True, settings=Settings(result_ttl=0)).run()
    assert attempts == [1] * jobs  # the lost delivery does not count


async def test_a_live_consumer_keeps_what_it_holds(
    app: App, client: redis.Redis, admin: Admin
) -> None:
    await app.produce("resize")
    read(client, "busy")
    with pytest.raises(StillInUse, match="busy is alive"):
        await admin.release("jobs", GROUP, "busy")
    assert client.xpending("jobs", GROUP)["consumers"] == [{"name": "busy", "pending": 1}]
    assert await admin.release("jobs", GROUP, "busy", force=True) == Released(1, removed=True)


async def test_entries_deleted_meanwhile_do_not_keep_a_consumer(
    app: App, client: redis.Redis
) -> None:
    ids = [
        str(job)
        for job in await app.produce_many(("resize", {}) for _ in range(RELEASED_AT_ONCE + 5))
    ]
    read(client, "lost", len(ids))
    client.xdel("jobs", *ids[:RELEASED_AT_ONCE])
    admin = Admin(app.server, lease=0)
    assert await admin.release("jobs", GROUP, "lost") == Released(5, removed=True)


async def test_release_of_what_is_no_consumer(
    app: App, server: RedisServer, client: redis.Redis, admin: Admin
) -> None:
    await app.produce("resize")
    await fail(server.unix_url, retries=3)
    with pytest.raises(ConsumerNotFound, match="no consumer nobody"):
        await admin.release("jobs", GROUP, "nobody")
    with pytest.raises(ConfigError, match="retry them by ID"):
        await admin.release("jobs", GROUP, PARKED)
    assert client.xpending("jobs", GROUP)["pending"] == 1


async def test_no_group_and_no_stream(app: App, client: redis.Redis, admin: Admin) -> None:
    with pytest.raises(StreamNotFound):
        await admin.retry_now("jobs", GROUP, ["1-1"])
    client.xgroup_create("jobs", "audit", mkstream=True)
    for asked in (
        admin.retry_now("jobs", GROUP, ["1-1"]),
        admin.dead_letter("jobs", GROUP, ["1-1"]),
        admin.release("jobs", GROUP, "a"),
    ):
        with pytest.raises(GroupNotFound, match="its only group is audit"):
            await asked
    with pytest.raises(ConfigError, match="not a job ID"):
        await admin.retry_now("jobs", GROUP, ["all"])
