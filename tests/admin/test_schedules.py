"""Jobs for later: listed by the time at which they are due, and cancelled."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
import redis

from streamq import App
from streamq.admin import Admin, ScheduledJob
from streamq.admin.reading import PAGE
from streamq.errors import ConfigError, JobNotFound, WrongKeyType
from streamq.new_job import Options
from streamq.wire.keys import stream_keys

pytestmark = pytest.mark.anyio

KEYS = stream_keys("jobs")
NEW_YEAR = datetime(2100, 1, 1, tzinfo=UTC)


async def found(admin: Admin, limit: int | None = None) -> list[ScheduledJob]:
    return [job async for job in admin.scheduled("jobs", limit=limit)]


async def test_what_is_for_later_and_when(app: App, admin: Admin) -> None:
    later = (await app.produce("archive", {"year": 2099}, at=NEW_YEAR)).id
    soon = (await app.produce("remind", {"user": 7}, delay=3600)).id
    jobs = await found(admin)
    assert [(job.name, job.stream, job.type, job.data) for job in jobs] == [
        (soon, "jobs", "remind", {"user": 7}),
        (later, "jobs", "archive", {"year": 2099}),
    ]
    assert jobs[1].due_at == NEW_YEAR.timestamp()
    assert orjson.loads(orjson.dumps(jobs[1].to_dict())) == {
        "name": later, "stream": "jobs", "type": "archive", "due_at": NEW_YEAR.timestamp(),
        "key": None, "unique": None, "expires": None, "trace": None, "data": {"year": 2099},
    }  # fmt: skip


async def test_none(admin: Admin) -> None:
    assert await found(admin) == []


async def test_a_cancelled_one_is_gone(app: App, admin: Admin) -> None:
    kept, gone = [(await app.produce("remind", delay=3600)).id for _ in range(2)]
    assert await admin.cancel("jobs", gone)
    assert not await admin.cancel("jobs", gone)
    assert [job.name for job in await found(admin)] == [kept]


@pytest.mark.parametrize("limit", [0, 1, PAGE, PAGE + 1, None])
async def test_many_that_are_due_at_the_same_time(
    app: App, admin: Admin, limit: int | None
) -> None:
    names = [(await app.produce("archive", {"n": n}, at=NEW_YEAR)).id for n in range(2 * PAGE + 3)]
    jobs = await found(admin, limit)
    assert len(jobs) == (len(names) if limit is None else limit)
    assert [job.name for job in jobs] == sorted(names)[: len(jobs)]


async def test_large_ones_come_in_pages_of_their_own(app: App, admin: Admin) -> None:
    blob = "x" * 600_000
    for _ in range(5):
        await app.produce("archive", {"blob": blob}, delay=3600)
    assert [job.data for job in await found(admin)] == [{"blob": blob}] * 5


async def test_what_streamq_did_not_write_is_shown_without_data(
    client: redis.Redis, admin: Admin
) -> None:
    client.zadd(KEYS.scheduled, {"by-hand": 5000, "no-job": 6000})
    client.hset(KEYS.scheduled_jobs, "by-hand", "\xff not packed")
    assert [(job.name, job.due_at, job.type, job.raw) for job in await found(admin)] == [
        ("by-hand", 5.0, "", None), ("no-job", 6.0, "", None),
    ]  # fmt: skip


async def test_the_key_holds_something_else(client: redis.Redis, admin: Admin) -> None:
    client.set(KEYS.scheduled, "x")
    with pytest.raises(WrongKeyType, match="holds another type"):
        await found(admin)


# -- one of them ----------------------------------------------------------------


async def test_one_with_all_that_was_asked_for(app: App, admin: Admin) -> None:
    options: Options = {
        "at": NEW_YEAR, "key": "user-7", "unique": "r-7", "expires": 2.5, "trace": "00-1",
    }  # fmt: skip
    name = (await app.produce("remind", {"user": 7}, **options)).id
    job = await admin.scheduled_job("jobs", name)
    assert [job] == await found(admin)
    assert orjson.loads(orjson.dumps(job.to_dict())) == {
        "name": name, "stream": "jobs", "type": "remind", "due_at": NEW_YEAR.timestamp(),
        "key": "user-7", "unique": "r-7", "expires": 2.5, "trace": "00-1", "data": {"user": 7},
    }  # fmt: skip


async def test_one_that_is_no_longer_for_later(app: App, client: redis.Redis, admin: Admin) -> None:
    with pytest.raises(JobNotFound, match="has no job s-1 for later: it was cancelled"):
        await admin.scheduled_job("jobs", "s-1")
    name = (await app.produce("remind", delay=3600)).id
    assert await admin.run_now("jobs", name)
    await drain_one(app)
    id = str(client.get(KEYS.schedule_id(name)))
    with pytest.raises(JobNotFound, match=f"no longer for later: it was due, and is {id} now"):
        await admin.scheduled_job("jobs", name)
    for change in (admin.run_now, admin.cancel_scheduled):
        assert await change("jobs", name) is False
    assert not await admin.cancel("jobs", name)  # it has run
    assert await admin.reschedule("jobs", name, delay=1) is False


async def drain_one(app: App) -> list[Any]:
    seen: list[Any] = []
    app.group("g").handler("*")(lambda job: seen.append(job.data))
    await app.worker(max_jobs=1).run()
    return seen


async def test_one_is_moved_and_then_run_now(app: App, admin: Admin) -> None:
    name = (await app.produce("remind", {"user": 7}, delay=3600, unique="r-7")).id
    assert await admin.reschedule("jobs", name, at=NEW_YEAR)
    assert (await admin.scheduled_job("jobs", name)).due_at == NEW_YEAR.timestamp()
    again = await app.produce("remind", unique="r-7")
    assert (again.id, again.created, again.scheduled_for) == (name, False, NEW_YEAR)
    assert await admin.reschedule("jobs", name, delay=7200)
    assert (await admin.scheduled_job("jobs", name)).due_at < NEW_YEAR.timestamp()
    assert await admin.run_now("jobs", name)
    assert await drain_one(app) == [{"user": 7}]
    assert not (await app.produce("remind", unique="r-7")).created


async def test_a_past_time_means_now(app: App, admin: Admin) -> None:
    name = (await app.produce("remind", {"user": 7}, delay=3600)).id
    assert await admin.reschedule("jobs", name, at=datetime(2000, 1, 1, tzinfo=UTC))
    assert await drain_one(app) == [{"user": 7}]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "give the new time with delay or at"),
        ({"delay": 1.0, "at": NEW_YEAR}, "not both"),
        ({"delay": -1.0}, "delay=-1.0"),
        ({"at": datetime(2030, 1, 1)}, "has no time zone"),
    ],
)
async def test_a_time_that_cannot_be(admin: Admin, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        await admin.reschedule("jobs", "s-1", **options)


async def test_a_cancelled_one_leaves_its_key_free(
    app: App, client: redis.Redis, admin: Admin
) -> None:
    name = (await app.produce("remind", delay=3600, unique="r", unique_until="settled")).id
    assert await admin.cancel_scheduled("jobs", name)
    assert client.keys("*") == []
