"""The schedules of periodic jobs: made, changed, paused, run and deleted at run time."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import redis

from streamq import App
from streamq.admin import Admin
from streamq.errors import (
    ConfigError,
    PayloadError,
    ScheduleExists,
    ScheduleNotFound,
    StillInUse,
    WrongKeyType,
)
from streamq.wire.keys import stream_keys
from tests.lua.support import raw_entries
from tests.worker.support import drain

pytestmark = pytest.mark.anyio

KEYS = stream_keys("jobs")


def field(client: redis.Redis, kind: str, name: str = "s") -> Any:
    return client.hget(KEYS.cron, f"{kind}:{name}")


def server_time(client: redis.Redis) -> float:
    seconds, micros = client.time()
    return int(seconds) + int(micros) / 1e6


async def test_what_was_asked_for_is_there(admin: Admin, client: redis.Redis) -> None:
    made = await admin.schedules.create(
        "jobs", "weekly", "report", {"to": "ann"}, cron="0 7 * * MON", tz="Europe/Berlin",
        group="g", key="k", expires=60, missed="all", most=5, overlap="skip",
    )  # fmt: skip
    assert made == await admin.schedules.get("jobs", "weekly")
    assert [made] == await admin.schedules.list("jobs")
    assert made.next_tick is not None
    assert server_time(client) < made.next_tick < server_time(client) + 8 * 86_400
    assert orjson.loads(orjson.dumps(made.to_dict())) == {
        "name": "weekly", "stream": "jobs", "type": "report", "cron": "0 7 * * MON",
        "tz": "Europe/Berlin", "every": None, "group": "g", "key": "k", "expires": 60.0,
        "missed": "all", "most": 5, "overlap": "skip", "declared": False, "has_worker": None,
        "paused_since": None, "last_tick": None, "next_tick": made.next_tick, "last_job": None,
        "problem": None, "data": {"to": "ann"},
    }  # fmt: skip


async def test_none(admin: Admin) -> None:
    assert await admin.schedules.list("jobs") == []


async def test_a_name_is_there_once(admin: Admin) -> None:
    await admin.schedules.create("jobs", "s", "t", every=30)
    with pytest.raises(ScheduleExists, match="the stream jobs has a schedule s already"):
        await admin.schedules.create("jobs", "s", "t", every=60)
    assert (await admin.schedules.get("jobs", "s")).every == 30


async def test_a_change_leaves_the_rest(admin: Admin, client: redis.Redis) -> None:
    await admin.schedules.create(
        "jobs", "s", "t", {"n": 1}, cron="* * * * *", tz="Europe/Berlin", key="k", expires=4.35
    )
    client.hset(KEYS.cron, "from:s", 1000)
    changed = await admin.schedules.update("jobs", "s", data={"n": 2}, overlap="skip")
    assert (changed.data, changed.overlap, changed.key, changed.expires, changed.tz) == (
        {"n": 2}, "skip", "k", 4.35, "Europe/Berlin",
    )  # fmt: skip
    assert field(client, "from") == "1000", "the same ticks"
    changed = await admin.schedules.update("jobs", "s", cron="0 * * * *", expires=None)
    assert (changed.cron, changed.tz, changed.expires) == ("0 * * * *", "Europe/Berlin", None)
    assert int(field(client, "from")) > 1000, "other ticks, from now on"
    changed = await admin.schedules.update("jobs", "s", every=7)
    assert (changed.cron, changed.every, changed.tz, changed.type) == (None, 7, None, "t")
    changed = await admin.schedules.update("jobs", "s", type="other", key=None)
    assert (changed.every, changed.type, changed.key) == (7, "other", None)


async def test_pausing(admin: Admin, client: redis.Redis) -> None:
    await admin.schedules.create("jobs", "s", "t", every=30)
    assert await admin.schedules.pause("jobs", "s")
    assert not await admin.schedules.pause("jobs", "s")
    one = await admin.schedules.get("jobs", "s")
    assert one.paused_since is not None
    assert abs(one.paused_since - server_time(client)) < 60
    assert one.next_tick is None
    assert await admin.schedules.resume("jobs", "s")
    assert not await admin.schedules.resume("jobs", "s")
    assert (await admin.schedules.get("jobs", "s")).next_tick is not None
    begun = await admin.schedules.create("jobs", "p", "t", every=30, paused=True)
    assert begun.paused_since is not None


async def test_a_job_now(admin: Admin, client: redis.Redis) -> None:
    await admin.schedules.create("jobs", "s", "t", {"n": 1}, every=30, group="g")
    await admin.schedules.pause("jobs", "s")
    id = await admin.schedules.run_now("jobs", "s")
    assert raw_entries(client, "jobs") == [
        (id, [("type", "t"), ("data", '{"n":1}'), ("for", "g")])
    ]  # fmt: skip
    assert (await admin.schedules.get("jobs", "s")).last_job == id


async def test_deleting(admin: Admin, client: redis.Redis) -> None:
    await admin.schedules.create("jobs", "s", "t", every=30)
    await admin.schedules.delete("jobs", "s")
    assert client.keys("*") == []


async def test_there_is_none_of_that_name(admin: Admin) -> None:
    schedules = admin.schedules
    for method in (
        schedules.get, schedules.pause, schedules.resume, schedules.delete, schedules.run_now,
        schedules.update,
    ):  # fmt: skip
        with pytest.raises(ScheduleNotFound, match="the stream jobs has no schedule s"):
            await method("jobs", "s")


# -- in the code of workers -------------------------------------------------------


@pytest.fixture
async def declared(app: App) -> None:
    """A schedule that a worker has had in its code a moment ago."""
    app.every(3600, type="s")(lambda: None)
    await drain(app)


@pytest.mark.usefixtures("declared")
async def test_one_in_the_code_is_listed(admin: Admin, client: redis.Redis) -> None:
    [one] = await admin.schedules.list("jobs")
    assert (one.name, one.declared, one.has_worker) == ("s", True, True)
    assert one.next_tick is not None
    client.hset(KEYS.cron, "seen:s", 1000)
    [one] = await admin.schedules.list("jobs")
    assert (one.has_worker, one.next_tick) == (False, None)


@pytest.mark.usefixtures("declared")
async def test_one_in_the_code_is_changed_there(admin: Admin, client: redis.Redis) -> None:
    with pytest.raises(StillInUse, match="the schedule s stands in the code of workers"):
        await admin.schedules.update("jobs", "s", every=5)
    with pytest.raises(StillInUse, match="the schedule s stands in the code of a worker: pause"):
        await admin.schedules.delete("jobs", "s")
    client.hset(KEYS.cron, "seen:s", 1000)
    await admin.schedules.delete("jobs", "s")
    assert await admin.schedules.list("jobs") == []


# -- what goes wrong --------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("s", {"cron": "x"}, "cron='x'"),
        ("s", {"cron": "* * * * *", "tz": "Mars/Olympus"}, "tz='Mars/Olympus'"),
        ("s", {"every": 0}, "every=0"),
        ("s", {}, "give either cron= or every="),
        ("", {"every": 5}, "is not a valid name of a schedule"),
        ("s", {"every": 5, "missed": "x"}, "missed='x'"),
    ],
)
async def test_what_cannot_be_used_is_not_written(
    admin: Admin, client: redis.Redis, name: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        await admin.schedules.create("jobs", name, "t", **options)
    assert client.keys("*") == []


async def test_a_change_that_cannot_be_used_changes_nothing(admin: Admin) -> None:
    made = await admin.schedules.create("jobs", "s", "t", every=30)
    changes: dict[str, Any]
    for changes, said in (
        ({"every": -1}, "every=-1"), ({"tz": "UTC"}, "tz='UTC'"), ({"nonsense": 1}, "nonsense"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=said):
            await admin.schedules.update("jobs", "s", **changes)
    assert await admin.schedules.get("jobs", "s") == made


async def test_data_that_cannot_be_written(admin: Admin) -> None:
    with pytest.raises(PayloadError):
        await admin.schedules.create("jobs", "s", "t", {"x": object()}, every=5)


async def test_the_apps_codec_writes_the_data(app: App, client: redis.Redis) -> None:
    class Reversed:
        def encode(self, data: Any) -> bytes:
            return orjson.dumps(data)[::-1]

        def decode(self, raw: bytes) -> Any:
            return orjson.loads(raw[::-1])

    app.codec = Reversed()
    seen: list[int] = []

    @app.every(3600, data={"n": 1})
    async def hourly(n: int) -> None:
        seen.append(n)

    await drain(app)
    await app.admin.schedules.create("jobs", "s", "hourly", {"n": 2}, every=3600)
    for name in ("s", "hourly"):
        await app.admin.schedules.run_now("jobs", name)
    await drain(app)
    assert seen == [2, 1]


async def test_one_that_cannot_be_read_says_why_and_can_be_deleted(
    admin: Admin, client: redis.Redis
) -> None:
    client.hset(KEYS.cron, "schedule:s", "{")
    [one] = await admin.schedules.list("jobs")
    assert one.problem is not None
    assert one.to_dict()["type"] == ""
    for method in (admin.schedules.run_now, admin.schedules.update):
        with pytest.raises(ConfigError, match="it cannot be read"):
            await method("jobs", "s")
    await admin.schedules.delete("jobs", "s")
    assert client.keys("*") == []


async def test_the_key_holds_something_else(client: redis.Redis, admin: Admin) -> None:
    client.set(KEYS.cron, "x")
    with pytest.raises(WrongKeyType, match="holds another type"):
        await admin.schedules.list("jobs")
