"""Periodic jobs: each tick is one job, whoever is there, and whatever breaks meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
import redis

from streamq import App, Group, Job, Settings
from streamq.errors import ConfigError, ServerUnavailable
from streamq.signals import ServerBack, ServerLost
from streamq.wire.keys import stream_keys
from streamq.worker.sources.ticks import Ticks
from tests.servers import RedisServer
from tests.waiting import for_ever
from tests.worker.support import QUIET, drain, eventually, running, together

pytestmark = pytest.mark.anyio

KEYS = stream_keys("jobs")
HOUR, DAY = 3_600_000, 86_400_000


def state(client: redis.Redis, kind: str, name: str) -> Any:
    return client.hget(KEYS.cron, f"{kind}:{name}")


def last_tick(client: redis.Redis, name: str, back: int) -> int:
    """Put the time after which the ticks are due back, to whole hours; in ms."""
    now = int(client.time()[0]) * 1000
    start = now - now % HOUR - back
    client.hset(KEYS.cron, f"from:{name}", start)
    return start


class Seen:
    """A handler that remembers the ticks of its jobs."""

    def __init__(self) -> None:
        self.ticks: list[int] = []
        self.jobs: list[Job] = []

    async def __call__(self, job: Job) -> None:
        self.jobs.append(job)
        self.ticks.append(int(job.fields["tick"]))


async def declared(app: App, client: redis.Redis, name: str) -> None:
    """Let a worker write what is in the code, without a tick."""
    await drain(app)
    assert state(client, "schedule", name)


def hourly(app: App, **options: Any) -> Seen:
    seen = Seen()
    app.every(timedelta(hours=1), type="hourly", **options)(seen)
    return seen


# -- a tick is a job --------------------------------------------------------------


async def test_what_is_in_the_code_ticks_from_now_on(app: App, client: redis.Redis) -> None:
    seen = hourly(app)
    await drain(app)
    assert seen.ticks == []
    assert json.loads(state(client, "schedule", "hourly")) == {
        "type": "hourly", "every": HOUR, "missed": "latest", "overlap": "allow", "declared": True,
    }  # fmt: skip
    start = last_tick(client, "hourly", HOUR)
    await drain(app)
    assert seen.ticks == [start + HOUR]
    assert state(client, "from", "hourly") == str(start + HOUR)
    assert state(client, "job", "hourly") == seen.jobs[0].id
    await drain(app)
    assert len(seen.ticks) == 1


async def test_the_data_and_the_options_of_its_jobs(app: App, client: redis.Redis) -> None:
    found: list[tuple[Any, ...]] = []

    @app.cron("0 * * * *", type="report", data={"to": "ann"}, name="r", key="k", expires=1e9)
    async def report(job: Job, to: str) -> None:
        found.append((job.type, to, job.key, job.only_for, job.expires_at is not None))

    await declared(app, client, "r")
    last_tick(client, "r", HOUR)
    await drain(app)
    assert found == [("report", "ann", "k", None, True)]


async def test_a_groups_schedule_is_for_that_group(app: App, client: redis.Redis) -> None:
    app.handler("other")(lambda: None)
    seen = Seen()
    app.group("audit").handler("else")(lambda: None)
    app.group("images").every(3600, type="sweep")(seen)
    await declared(app, client, "images.sweep")
    last_tick(client, "images.sweep", HOUR)
    await drain(app)
    assert [(job.group, job.only_for) for job in seen.jobs] == [("images", "images")]
    assert client.xlen("jobs") == 0
    assert not client.exists("{jobs}:group:audit:dlq")


async def test_an_apps_schedule_is_for_every_group(app: App, client: redis.Redis) -> None:
    seen = hourly(app)
    for name in ("a", "b"):
        app.group(name).handler("else")(lambda: None)
    await declared(app, client, "hourly")
    last_tick(client, "hourly", HOUR)
    await drain(app)
    assert sorted(job.group for job in seen.jobs) == ["a", "b"]
    assert len({job.id for job in seen.jobs}) == 1


async def test_a_tick_to_come_comes(app: App) -> None:
    """Not looked for: waited for, until it is there."""
    seen = Seen()
    app.every(1, type="often")(seen)
    async with running(app, settings=QUIET):
        await eventually(lambda: len(seen.ticks) >= 2)
    assert all(tick % 1000 == 0 for tick in seen.ticks)
    assert [int(job.id.split("-")[0]) >= int(job.fields["tick"]) for job in seen.jobs]
    assert len(set(seen.ticks)) == len(seen.ticks)


async def test_two_workers_are_one_job(app: App, server: RedisServer, client: redis.Redis) -> None:
    seen = Seen()
    async with App(server.unix_url) as other:
        for one in (app, other):
            one.every(1, type="often", missed="all")(seen)
        async with running(app, settings=QUIET), running(other, settings=QUIET):
            await eventually(lambda: len(seen.ticks) >= 3)
    assert len(set(seen.ticks)) == len(seen.ticks)
    ticks = sorted(seen.ticks)
    assert ticks == list(range(ticks[0], ticks[-1] + 1000, 1000)), "and none is missing"


async def test_a_busy_worker_misses_no_tick(
    app: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has no room for a job writes it, for those that have."""
    monkeypatch.setattr("streamq.worker.sources.ticks.CONFIRM", 0.02)
    begun = asyncio.Event()

    @app.handler("long", retries=0)
    async def work() -> None:
        begun.set()
        await for_ever()

    hourly(app)
    await declared(app, client, "hourly")
    await app.produce("long")
    settings = Settings(concurrency=1, prefetch=0, result_ttl=0, grace=0)
    async with running(app, settings=settings):
        await together(begun)
        start = last_tick(client, "hourly", HOUR)
        await eventually(lambda: state(client, "from", "hourly") == str(start + HOUR))


# -- missed ticks -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "hours"),
    [
        ({}, [3]),
        ({"missed": "latest"}, [3]),
        ({"missed": "all"}, [1, 2, 3]),
        ({"missed": "all", "most": 2}, [2, 3]),
        ({"missed": "all", "overlap": "skip"}, [3]),
    ],
    ids=str,
)
async def test_missed_ticks(
    app: App, client: redis.Redis, options: dict[str, Any], hours: list[int]
) -> None:
    seen = hourly(app, **options)
    await declared(app, client, "hourly")
    start = last_tick(client, "hourly", 3 * HOUR)
    await drain(app)
    assert sorted(seen.ticks) == [start + hour * HOUR for hour in hours]
    assert state(client, "tick", "hourly") == str(start + 3 * HOUR)


async def test_missed_ticks_may_be_left_out(app: App, client: redis.Redis) -> None:
    """A day's tick of long ago is none any more; that of the last second is not missed."""
    seen, often = Seen(), Seen()
    now = int(client.time()[0])
    long_ago = (now - 7200) % DAY
    app.cron(f"0 {(long_ago // 3600) % 24} * * *", type="daily", missed="skip")(seen)
    app.every(1, type="often", missed="skip")(often)
    await declared(app, client, "daily")
    for name in ("daily", "often"):
        last_tick(client, name, 2 * DAY)
    await drain(app)
    assert seen.ticks == []
    assert int(state(client, "tick", "daily")) < now * 1000 - 60_000
    assert len(often.ticks) == 1


async def test_large_ones_are_written_in_several_calls(
    app: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamq.worker.sources.ticks.AT_ONCE", 20)
    seen = hourly(app, missed="all", data={"n": 1})
    await declared(app, client, "hourly")
    start = last_tick(client, "hourly", 5 * HOUR)
    await drain(app)
    assert sorted(seen.ticks) == [start + n * HOUR for n in range(1, 6)]


# -- overlap ----------------------------------------------------------------------


async def test_no_job_while_the_last_one_runs(app: App, client: redis.Redis) -> None:
    begun, end, seen = asyncio.Event(), asyncio.Event(), []

    @app.every(1, overlap="skip")
    async def slow(job: Job) -> None:
        seen.append(job.id)
        begun.set()
        await end.wait()

    async with running(app, settings=QUIET):
        await together(begun)
        first = state(client, "tick", "slow")
        await eventually(lambda: state(client, "tick", "slow") not in (first, None))
        assert client.xlen("jobs") == len(seen) == 1
        end.set()
        await eventually(lambda: len(seen) > 1)


# -- changes ------------------------------------------------------------------------


async def test_another_expression_counts_at_once_and_not_for_the_past(
    app: App, server: RedisServer, client: redis.Redis
) -> None:
    hourly(app)
    await declared(app, client, "hourly")
    last_tick(client, "hourly", 5 * HOUR)
    async with App(server.unix_url) as deployed:
        seen = Seen()
        deployed.cron("*/10 * * * *", type="hourly")(seen)
        await declared(deployed, client, "hourly")
        assert seen.ticks == []
        assert state(client, "rule", "hourly") == "*/10 * * * * UTC"
        assert int(state(client, "from", "hourly")) > int(client.time()[0]) * 1000 - 10_000


async def test_of_two_versions_the_one_that_began_last_counts(
    app: App, server: RedisServer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older one works by it, and takes its own up again when the other is gone for good."""
    monkeypatch.setattr("streamq.worker.sources.ticks.CONFIRM", 0.01)
    old = hourly(app)
    async with App(server.unix_url) as deployed:
        new = Seen()
        deployed.every(timedelta(hours=2), type="hourly")(new)
        async with running(app, settings=QUIET):
            await eventually(lambda: state(client, "rule", "hourly") == f"every {HOUR} ms")
            async with running(deployed, settings=QUIET):
                await eventually(lambda: state(client, "rule", "hourly") == f"every {2 * HOUR} ms")
                seen = state(client, "seen", "hourly")
                await eventually(lambda: state(client, "seen", "hourly") > seen)
                assert state(client, "rule", "hourly") == f"every {2 * HOUR} ms"
            client.hset(KEYS.cron, "seen:hourly", 1)
            await eventually(lambda: state(client, "rule", "hourly") == f"every {HOUR} ms")
    assert (old.ticks, new.ticks) == ([], [])


async def test_a_paused_one_does_not_tick_however_often_workers_start(
    app: App, client: redis.Redis
) -> None:
    seen = hourly(app)
    await declared(app, client, "hourly")
    assert await app.admin.schedules.pause("jobs", "hourly")
    last_tick(client, "hourly", HOUR)
    for _ in range(2):
        await drain(app)
    assert seen.ticks == []


async def test_what_is_in_no_code_any_more_does_not_tick(
    app: App, server: RedisServer, client: redis.Redis
) -> None:
    async with App(server.unix_url) as before:
        hourly(before)
        await declared(before, client, "hourly")
    last_tick(client, "hourly", HOUR)
    seen = Seen()
    app.handler("hourly")(seen)
    await drain(app)
    assert seen.ticks == []


async def test_one_made_at_run_time_ticks_in_any_worker(app: App, client: redis.Redis) -> None:
    seen = Seen()
    app.handler("report")(seen)
    async with running(app, settings=QUIET):
        await app.admin.schedules.create("jobs", "made", "report", every=1)
        await eventually(lambda: seen.ticks)
        await app.admin.schedules.delete("jobs", "made")
        assert not client.exists(KEYS.cron)
        count = len(seen.ticks)
        await app.admin.schedules.create("jobs", "again", "report", every=1)
        await eventually(lambda: len(seen.ticks) > count)


async def test_what_cannot_be_read_stops_nothing_else(
    app: App, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    seen = hourly(app)
    await declared(app, client, "hourly")
    last_tick(client, "hourly", HOUR)
    client.hset(KEYS.cron, "schedule:broken", '{"type": "t", "from_the_future": 1}')
    await drain(app)
    assert len(seen.ticks) == 1
    warnings = [record.getMessage() for record in caplog.records if "broken" in record.getMessage()]
    assert len(warnings) == 1
    assert warnings[0].startswith("the schedule broken of jobs does not tick: it cannot be read")


async def test_a_worker_without_schedules_pays_no_call(
    app: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def take(self: Ticks, room: int) -> Any:
        raise AssertionError("it was asked")

    monkeypatch.setattr(Ticks, "take", take)
    app.handler("t")(lambda: None)
    await app.produce("t")
    assert len((await drain(app)).verdicts) == 1


async def test_a_key_of_another_type_stops_nothing(app: App, client: redis.Redis) -> None:
    client.set(KEYS.cron, "x")
    app.handler("t")(lambda: None)
    await app.produce("t")
    assert len((await drain(app)).verdicts) == 1


async def test_a_server_that_lost_all_has_the_schedules_again(
    app: App, client: redis.Redis
) -> None:
    hourly(app)
    async with running(app, settings=QUIET):
        await eventually(lambda: state(client, "schedule", "hourly"))
        client.flushall()
        await eventually(lambda: state(client, "schedule", "hourly"))


# -- what breaks ----------------------------------------------------------------------


async def test_a_reply_that_was_lost_loses_and_doubles_no_tick(
    app: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has written the job; the worker hears of a broken connection instead."""
    seen = hourly(app)
    await declared(app, client, "hourly")
    start = last_tick(client, "hourly", HOUR)
    lose_next(monkeypatch, after=True)
    watch = await drain(app)
    assert seen.ticks == [start + HOUR]
    assert len(watch.of(ServerLost)) == len(watch.of(ServerBack)) == 1


async def test_a_call_that_was_lost_loses_no_tick(
    app: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = hourly(app)
    await declared(app, client, "hourly")
    start = last_tick(client, "hourly", HOUR)
    lose_next(monkeypatch, after=False)
    async with running(app, settings=QUIET):
        await eventually(lambda: seen.ticks)
    assert seen.ticks == [start + HOUR]


def lose_next(monkeypatch: pytest.MonkeyPatch, *, after: bool) -> None:
    """Let the connection break at the next tick, before or after the script has run."""
    from streamq.server import Link

    run, lost = Link.run, False

    async def breaking(self: Link, call: Any) -> Any:
        nonlocal lost
        if lost or "the jobs of a schedule" not in call.source:
            return await run(self, call)
        lost = True
        if after:
            await run(self, call)
        await self.close()
        raise ServerUnavailable("cut off")

    monkeypatch.setattr(Link, "run", breaking)


# -- bad input ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        (("nonsense",), {}, "cron='nonsense': wrong number of fields"),
        (("* * * * *",), {"tz": "Mars/Olympus"}, "tz='Mars/Olympus'"),
        (("* * * * *",), {"missed": "never"}, "missed='never'"),
        (("* * * * *",), {"overlap": "x"}, "overlap='x'"),
        (("* * * * *",), {"name": ""}, "'' is not a valid name of a schedule"),
        (("* * * * *",), {"type": "*"}, r"type='\*'"),
        (("* * * * *",), {"retries": -1}, "retries=-1"),
    ],
)
def test_what_cannot_be_used_is_refused_at_the_call(
    arguments: Sequence[str], options: dict[str, Any], said: str
) -> None:
    app = App()
    with pytest.raises(ConfigError, match=said):
        app.cron(*arguments, **options)(named)


@pytest.mark.parametrize("interval", [0, -1, timedelta(0), timedelta(seconds=-5), 0.1])
def test_an_interval_that_is_none(interval: Any) -> None:
    with pytest.raises(ConfigError, match="every="):
        Group("g").every(interval)


async def named() -> None: ...


def test_two_schedules_of_one_name() -> None:
    app = App()
    app.every(5, name="n")(named)
    with pytest.raises(ConfigError, match="name='n': there is a schedule of that name already"):
        app.every(5, name="n", type="other")(named)
    app.group("g").every(5, name="n")(named)
    with pytest.raises(ConfigError, match="name='n': two schedules for the stream 'jobs'"):
        app.subscriptions()


def test_a_second_handler_of_a_type_leaves_no_schedule() -> None:
    app = App()
    app.handler("named")(named)
    with pytest.raises(ConfigError, match="has a handler already"):
        app.every(5)(named)
    assert app.subscriptions()[0].schedules == []


def test_a_decorated_function_stays_as_it_is() -> None:
    app = App()
    assert app.cron("* * * * *")(named) is named
    assert [one.name for one in app.subscriptions()[0].schedules] == ["named"]


def test_the_options_of_a_handler_can_all_be_given() -> None:
    import inspect

    from streamq.group import HandlerOptions, Registry

    options = set(inspect.signature(Registry.handler).parameters) - {"self", "type"}
    assert set(HandlerOptions.__annotations__) == options
