"""Jobs for later, jobs that are written once, jobs that expire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from streamq import App, Settings, lua
from streamq.errors import ConfigError
from streamq.wire.keys import stream_keys
from tests.lua.support import ids_of

pytestmark = pytest.mark.anyio


async def test_a_job_with_a_delay_is_run_when_it_is_due(app: App, client: redis.Redis) -> None:
    seen = []

    @app.handler("remind")
    async def remind(user: int) -> None:
        seen.append(user)

    name = (await app.produce("remind", {"user": 7}, delay=0.05)).id
    assert name.startswith("s-")
    assert client.zcard("{jobs}:scheduled") == 1
    assert not client.exists("jobs")

    await app.worker(max_jobs=1, settings=Settings(result_ttl=0)).run()
    assert seen == [7]
    # The name leads to the entry for an hour.
    assert sorted(client.keys("*")) == ["jobs", f"{{jobs}}:scheduled:id:{name}"]
    assert 0 < client.pttl(f"{{jobs}}:scheduled:id:{name}") <= 3_600_000


async def test_a_job_for_the_past_is_run_at_once(app: App) -> None:
    seen = []

    @app.handler("remind")
    async def remind(user: int) -> None:
        seen.append(user)

    await app.produce("remind", {"user": 7}, at=datetime.now(UTC) - timedelta(days=1))
    await app.worker(max_jobs=1).run()
    assert seen == [7]


async def test_a_scheduled_job_can_be_cancelled_once(app: App, client: redis.Redis) -> None:
    name = (await app.produce("remind", {"user": 7}, delay=3600)).id
    assert await app.admin.cancel("jobs", name)
    assert not await app.admin.cancel("jobs", name)
    assert client.keys("*") == []


async def test_the_same_key_writes_one_job(app: App, client: redis.Redis) -> None:
    first = (await app.produce("charge", {"order": 1}, unique="order-1")).id
    again = (await app.produce("charge", {"order": 1}, unique="order-1")).id
    other = (await app.produce("charge", {"order": 2}, unique="order-2")).id
    assert first == again != other
    assert client.xlen("jobs") == 2
    assert 0 < client.pttl("{jobs}:unique:order-1") <= 24 * 3600 * 1000


async def test_a_cancelled_job_leaves_its_key_free(app: App, client: redis.Redis) -> None:
    name = (await app.produce("charge", {"order": 1}, unique="order-1", delay=60)).id
    assert await app.admin.cancel("jobs", name)
    assert client.keys("*") == []
    job_id = (await app.produce("charge", {"order": 1}, unique="order-1")).id
    assert client.xlen("jobs") == 1
    assert await app.admin.cancel("jobs", job_id)
    assert client.xlen("jobs") == 0
    assert client.exists("{jobs}:unique:order-1")


async def test_a_schedule_sent_again_after_its_time_is_not_done_again(
    app: App, client: redis.Redis
) -> None:
    keys = stream_keys("jobs")
    call = lua.schedule(keys, "s-1", ("in", 0), None, 1, ["data", "{}"])
    assert (await app.server.run(call))[:2] == [b"s-1", 1]
    reached, *late = await app.server.run(lua.promote(keys, [(b"s-1", b"")], 60_000))
    assert (reached, len(late)) == (1, 1)
    assert await app.server.run(call) == [ids_of(client)[0].encode(), 3, None]
    assert client.xlen("jobs") == 1
    assert client.hlen("{jobs}:scheduled:jobs") == 0


async def test_the_same_key_schedules_one_job(app: App, client: redis.Redis) -> None:
    first = (await app.produce("charge", {"order": 1}, unique="order-1", delay=60)).id
    again = (await app.produce("charge", {"order": 1}, unique="order-1", delay=60)).id
    assert first == again
    assert client.zcard("{jobs}:scheduled") == 1


async def test_an_expired_job_is_not_run_and_says_so(app: App, client: redis.Redis) -> None:
    seen = []

    @app.handler("offer")
    async def offer(n: int) -> None:
        seen.append(n)

    late = (await app.produce("offer", {"n": 1}, expires=0)).id
    await app.produce("offer", {"n": 2}, expires=3600)
    await app.worker(burst=True).run()
    assert seen == [2]
    assert client.hget(f"{{jobs}}:group:default:job:{late}", "state") == "expired"
    assert client.xlen("jobs") == 0


@pytest.mark.parametrize(
    "options",
    [
        {"delay": -1.0},
        {"delay": float("nan")},
        {"expires": float("inf")},
        {"key": ""},
        {"delay": 1.0, "at": datetime.now(UTC)},
        {"at": datetime(2030, 1, 1)},  # without a time zone
    ],
)
async def test_an_option_that_cannot_be_is_refused(app: App, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        await app.produce("remind", **options)
