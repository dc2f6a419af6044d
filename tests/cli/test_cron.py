"""Periodic jobs, from the command line."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import orjson
import pytest
import redis

from streamq import App
from tests.cli.support import Result
from tests.lua.support import raw_entries
from tests.servers import RedisServer

Streamq = Callable[..., Result]


def test_a_schedule_from_its_making_to_its_end(streamq: Streamq, client: redis.Redis) -> None:
    assert streamq("cron", "list").out == "The stream jobs has no schedules\n"
    made = streamq("cron", "create", "report", "0 7 * * MON", "--tz", "Europe/Berlin")
    assert made.code == 0
    assert made.out.startswith("Created the schedule report on jobs; next: ")
    _, row = streamq("cron", "list").out.splitlines()
    next_tick = made.out.strip().removeprefix("Created the schedule report on jobs; next: ")
    assert row.split() == [
        "report", "0", "7", "*", "*", "MON", "Europe/Berlin", "-", *next_tick.split(), "-",
        "made", "at", "run", "time",
    ]  # fmt: skip

    assert streamq("cron", "pause", "report").out == "Paused report\n"
    assert streamq("cron", "pause", "report").out == "report is paused already\n"
    assert streamq("cron", "list").out.splitlines()[1].endswith("paused")
    assert streamq("cron", "resume", "report").out == "Resumed report\n"
    assert streamq("cron", "resume", "report").out == "report is not paused\n"

    ran = streamq("cron", "run-now", "report").out
    [(id, _)] = raw_entries(client, "jobs")
    assert ran == f"Enqueued job: {id}\n"

    asked = streamq("cron", "delete", "report")
    assert (asked.code, asked.out) == (2, "")
    assert asked.err == (
        "streamq: Delete the schedule report, 0 7 * * MON? Give --yes to confirm\n"
    )
    deleted = streamq("cron", "delete", "report", "--yes")
    assert deleted.out == "Deleted the schedule report of jobs\n"
    assert client.keys("*") == ["jobs"]


def test_a_schedule_that_is_changed(streamq: Streamq) -> None:
    streamq("cron", "create", "report", "0 7 * * MON", "--tz", "Europe/Berlin", "--key", "k")
    changed = streamq("cron", "update", "report", "0 8 * * MON", "--data", '{"a": 1}')
    assert changed.code == 0
    assert changed.out.startswith("Changed the schedule report of jobs; next: ")
    one = orjson.loads(streamq("cron", "list", "--json").out)
    assert {name: one[name] for name in ("cron", "tz", "key", "data", "type", "missed")} == {
        "cron": "0 8 * * MON", "tz": "Europe/Berlin", "key": "k", "data": {"a": 1},
        "type": "report", "missed": "latest",
    }  # fmt: skip
    streamq("cron", "update", "report", "--every", "5m", "--missed", "all", "--overlap", "skip")
    one = orjson.loads(streamq("cron", "list", "--json").out)
    assert (one["cron"], one["every"], one["missed"], one["overlap"]) == (None, 300, "all", "skip")

    for args, code, said in (
        (("report",), 2, "name what is to change, such as --every TIME"),
        (("missing", "--every", "5m"), 1, "the stream jobs has no schedule missing"),
        (("report", "0 8 * * MOON"), 2, "MOON"),
    ):
        refused = streamq("cron", "update", *args)
        assert (refused.code, refused.out) == (code, "")
        assert said in refused.err


def test_all_that_can_be_asked_for(streamq: Streamq) -> None:
    made = streamq(
        "cron", "create", "sweep", "--every", "5m", "--type", "t", "--data", '{"dir": "/tmp"}',
        "--group", "g", "--key", "k", "--expires", "1h", "--missed", "all", "--most", "7",
        "--overlap", "skip", "--paused",
    )  # fmt: skip
    assert made.out == "Created the schedule sweep on jobs; it is paused\n"
    one = orjson.loads(streamq("cron", "list", "--json").out)
    assert {
        "every": 300, "cron": None, "tz": None, "type": "t", "data": {"dir": "/tmp"}, "group": "g",
        "key": "k", "expires": 3600, "missed": "all", "most": 7, "overlap": "skip",
        "last_job_groups": None,
    }.items() <= one.items()  # fmt: skip
    assert one["paused_since"] is not None


def test_what_has_become_of_the_last_job(streamq: Streamq, server: RedisServer) -> None:
    async def work() -> None:
        async with App(server.unix_url) as app:
            await app.admin.create_group("jobs", "h", "0")
            app.group("g").handler("t")(lambda: None)
            await app.worker(burst=True).run()

    def state() -> str:
        return streamq("cron", "list").out.splitlines()[1]

    streamq("cron", "create", "all", "--every", "1d", "--type", "t")
    id = streamq("cron", "run-now", "all").out.removeprefix("Enqueued job: ").strip()
    assert f"{id} queued" in state()
    anyio.run(work)
    assert f"{id} g: succeeded, h: queued" in state()
    one = orjson.loads(streamq("cron", "list", "--json").out)
    assert (one["last_job"], one["last_job_groups"]) == (id, {"g": "succeeded", "h": "queued"})


def test_one_in_the_code_of_a_worker(
    streamq: Streamq, server: RedisServer, client: redis.Redis
) -> None:
    async def work() -> None:
        async with App(server.unix_url) as app:
            app.group("g").every(3600, type="sweep")(lambda: None)
            await app.worker(burst=True).run()

    anyio.run(work)
    assert "in the code of workers" in streamq("cron", "list").out
    refused = streamq("cron", "delete", "g.sweep", "--yes")
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("streamq: the schedule g.sweep stands in the code of a worker:")
    assert streamq("cron", "pause", "g.sweep").code == 0
    assert streamq("cron", "resume", "g.sweep").code == 0
    client.hset("{jobs}:cron", "seen:g.sweep", 1000)
    assert "in no worker's code any more" in streamq("cron", "list").out
    assert streamq("cron", "delete", "g.sweep", "--yes").code == 0


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["x"], "cron='x': wrong number of fields"),
        (["61 * * * *"], "cron='61 * * * *': bad minute"),
        (["* * * * *", "--tz", "Mars/Olympus"], "tz='Mars/Olympus': there is no such time zone"),
        (["--every", "0"], "every=0.0: give a timedelta or seconds, 1 to"),
        (["--every", "5", "--tz", "UTC"], "tz='UTC': an interval has no time zone"),
        (["* * * * *", "--every", "5"], "give either cron= or every="),
        ([], "give an EXPRESSION such as '0 7 * * MON', or --every TIME"),
        (["--every", "5", "--data", "[1]"], ""),
        (["--every", "5", "--group", "a b"], "'a b' is not a valid group name"),
    ],
)
def test_bad_input_is_one_line(
    streamq: Streamq, client: redis.Redis, args: list[str], said: str
) -> None:
    result = streamq("cron", "create", "s", *args)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("streamq: " + said)
    assert result.err.count("\n") == 1
    assert client.keys("*") == []


@pytest.mark.parametrize("command", ["pause", "resume", "run-now", "delete"])
def test_there_is_none_of_that_name(streamq: Streamq, command: str) -> None:
    result = streamq("cron", command, "s")
    assert result == (1, "", "streamq: the stream jobs has no schedule s\n")


def test_there_is_one_of_that_name(streamq: Streamq) -> None:
    assert streamq("cron", "create", "s", "--every", "5").code == 0
    again = streamq("cron", "create", "s", "--every", "5")
    assert (again.code, again.err) == (
        1,
        "streamq: the stream jobs has a schedule s already: update it, or delete it first\n",
    )


def test_names_and_expressions_are_escaped(streamq: Streamq, client: redis.Redis) -> None:
    client.hset("{jobs}:cron", "schedule:\x1b[2J", "\x1b[2J")
    result = streamq("cron", "list")
    assert result.code == 0
    assert "\x1b" not in result.out
    assert "does not tick: it cannot be read" in result.out
