"""``streamq scheduled``: jobs for later, listed, shown, moved or cancelled."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
import redis

from tests.cli.support import Program, Result
from tests.lua.support import raw_entries

Streamq = Callable[..., Result]
AT = "2100-01-31T07:00+01:00"
UNIX = 4_105_058_400


def produce(streamq: Streamq, *args: str) -> str:
    result = streamq("produce", *args, "--quiet")
    assert result.code == 0, result
    return result.out.strip()


# -- looking ----------------------------------------------------------------------


def test_a_list_of_what_waits(streamq: Streamq) -> None:
    late = produce(streamq, "--type", "remind", "user:=7", "--at", AT)
    soon = produce(streamq, "--type", "archive", "year:=2099", "--delay", "1h")
    result = streamq("scheduled", "list")
    assert (result.code, result.err) == (0, "")
    title, first, second, blank, count = result.out.splitlines()
    assert title.split() == ["NAME", "TYPE", "DUE", "DATA"]
    assert first.split()[:2] == [soon, "archive"]
    assert first.endswith('{"year":2099}')
    assert second.split()[:3] == [late, "remind", "in"]
    assert (blank, count) == ("", "2 jobs for later")

    assert streamq("scheduled", "list", "--type", "remind").out.splitlines()[1].startswith(late)
    assert streamq("scheduled", "list", "-n", "1").out.splitlines()[-1] == (
        "1 job for later shown, and there are more (--limit)"
    )
    assert [json.loads(line)["name"] for line in
            streamq("scheduled", "list", "--json").out.splitlines()] == [soon, late]  # fmt: skip
    [line] = streamq("scheduled", "list", "--json", "--limit", "1").out.splitlines()
    assert json.loads(line)["name"] == soon


def test_nothing_is_scheduled(streamq: Streamq) -> None:
    assert streamq("scheduled", "list").out == "Nothing is scheduled for jobs\n"
    assert streamq("scheduled", "list", "--json").out == ""


def test_all_of_one(streamq: Streamq) -> None:
    name = produce(
        streamq, "--type", "remind", "user:=7", "--at", AT, "--expires", "5m", "--key", "user-7",
        "--unique", "remind-7", "--trace", "00-1",
    )  # fmt: skip
    result = streamq("scheduled", "show", name)
    lines = dict(line.split(maxsplit=1) for line in result.out.splitlines())
    assert lines.pop("due").startswith("2100-01-31 ")
    assert lines == {
        "name": name, "stream": "jobs", "type": "remind", "expires": "5 min later",
        "key": "user-7", "unique": "remind-7", "trace": "00-1", "data": '{"user":7}',
    }  # fmt: skip
    shown = json.loads(streamq("scheduled", "show", name, "--json").out)
    assert (shown["due_at"], shown["expires"], shown["data"]) == (UNIX, 300, {"user": 7})


def test_one_that_does_not_wait(streamq: Streamq) -> None:
    result = streamq("scheduled", "show", "s-1\x1b[0m")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("streamq: the stream jobs has no job s-1\\x1b[0m for later: ")


def test_what_somebody_else_has_put_there(streamq: Streamq, client: redis.Redis) -> None:
    client.zadd("{jobs}:scheduled", {"by-hand": 5000})
    assert "(cannot be read)" in streamq("scheduled", "list").out
    assert "(cannot be read)" in streamq("scheduled", "show", "by-hand").out


def test_status_finds_it_by_its_name(
    streamq: Streamq, start: Callable[..., Program], client: redis.Redis
) -> None:
    name = produce(streamq, "--type", "remind", "user:=7", "--delay", "1h")
    out = streamq("status", name).out
    assert f"job     {name}\n" in out
    assert "status  scheduled\n" in out
    assert "(in 59 min " in out or "(in 1 h)" in out
    assert 'data    {"user":7}\n' in out
    assert json.loads(streamq("status", name, "--json").out)["state"] == "scheduled"

    assert streamq("scheduled", "run-now", name).out == f"Due now: {name}\n"
    consumed = streamq("consume", "--max-jobs", "1", "--metrics-port", "0")
    assert consumed.code == 0
    id = str(client.get(f"{{jobs}}:scheduled:id:{name}"))
    out = streamq("status", name).out
    assert f"job      {id}\n" in out
    assert "succeeded" in out
    gone = streamq("scheduled", "show", name)
    assert gone.err == (
        f"streamq: the job {name} is no longer for later: it was due, and is {id} now\n"
    )


# -- changing ---------------------------------------------------------------------


def test_another_time(streamq: Streamq, client: redis.Redis) -> None:
    names = [produce(streamq, "n=1", "--delay", "1h") for _ in range(2)]
    result = streamq("scheduled", "reschedule", *names, "--at", AT)
    assert result.out == "".join(f"Rescheduled {name}\n" for name in names)
    assert client.zmscore("{jobs}:scheduled", names) == [UNIX * 1000.0] * 2
    before = time.time()
    assert streamq("scheduled", "reschedule", names[0], "--delay", "2h").code == 0
    assert float(client.zscore("{jobs}:scheduled", names[0]) or 0) >= (before + 7199) * 1000


@pytest.mark.parametrize("command", [("run-now",), ("cancel",), ("reschedule", "--delay", "1h")])
def test_one_that_is_no_longer_waiting(
    streamq: Streamq, client: redis.Redis, command: tuple[str, ...]
) -> None:
    name = produce(streamq, "n=1", "--delay", "1h")
    result = streamq("scheduled", command[0], "s-gone", name, *command[1:])
    assert result.code == 1
    assert result.out.endswith(f" {name}\n")
    assert result.err == (
        "streamq: the stream jobs has no job s-gone for later: it is due already, was "
        "cancelled, or is on another stream (--stream)\n"
    )


def test_many_are_cancelled_when_that_is_confirmed(streamq: Streamq, client: redis.Redis) -> None:
    for type in ("remind", "remind", "archive"):
        produce(streamq, "--type", type, "n=1", "--delay", "1h")
    asked = streamq("scheduled", "cancel", "--type", "remind")
    assert (asked.code, asked.out) == (2, "")
    assert asked.err == "streamq: Cancel 2 jobs for later of jobs? Give --yes to confirm\n"
    assert client.zcard("{jobs}:scheduled") == 3
    done = streamq("scheduled", "cancel", "--type", "remind", "--yes")
    assert (done.code, done.out) == (0, "Cancelled 2 jobs for later\n")
    assert streamq("scheduled", "cancel", "--all", "--yes").out == "Cancelled 1 job for later\n"
    assert client.keys("*") == []
    assert streamq("scheduled", "cancel", "--all").out == "Cancelled 0 jobs for later\n"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("cancel",), "say which: names, --all or --type"),
        (("cancel", "s-1", "--all"), "give names, or --all and --type; not both"),
        (("reschedule", "s-1"), "give the new time with --delay or --at: one of them"),
        (("reschedule", "s-1", "--delay", "1", "--at", AT), "one of them"),
        (("reschedule", "s-1", "--at", "2030-01-31T07:00"), "has no time zone"),
        (("reschedule", "s-1", "--delay", "-1"), "is not a duration"),
        (("run-now",), "missing argument"),
        (("list", "--stream", "a\nb"), "is not a valid stream name"),
    ],
)
def test_what_cannot_be_meant(streamq: Streamq, args: tuple[str, ...], said: str) -> None:
    result = streamq("scheduled", *args)
    assert (result.code, result.out) == (2, "")
    assert said in result.err.lower() if said == "missing argument" else said in result.err
    assert "Traceback" not in result.err


# -- written once, or replaced ------------------------------------------------------


def test_a_key_until_its_job_is_settled(streamq: Streamq, client: redis.Redis) -> None:
    args = ("produce", "n=1", "--unique", "u", "--unique-until", "settled")
    first = streamq(*args).out
    assert streamq(*args).out == first.replace("Enqueued job", "Already known")
    client.delete("jobs")
    assert streamq(*args).out.startswith("Enqueued job: ")


def test_a_job_that_waits_is_replaced(streamq: Streamq, client: redis.Redis) -> None:
    args = ("--unique", "u", "--on-conflict", "replace", "--at", AT)
    name = produce(streamq, "n=1", *args)
    again = streamq("produce", "n=2", *args)
    assert again.out == f"Replaced: {name}\n"
    told = json.loads(streamq("produce", "n=3", *args, "--json").out)
    assert (told["id"], told["created"], told["replaced"]) == (name, False, True)
    assert told["scheduled_for"] == UNIX
    assert json.loads(streamq("scheduled", "show", name, "--json").out)["data"] == {"n": "3"}


def test_a_taken_key_can_be_an_error(streamq: Streamq, client: redis.Redis) -> None:
    args = ("produce", "n=1", "--unique", "u", "--on-conflict", "error")
    id = streamq(*args, "--quiet").out.strip()
    again = streamq(*args)
    assert (again.code, again.out) == (1, "")
    assert again.err.startswith(
        f"streamq: nothing was written: the idempotency key is taken by the job {id};"
    )
    assert client.xlen("jobs") == 1


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--unique-until", "settled"), "--unique-until is about the key of --unique"),
        (("--on-conflict", "error"), "--on-conflict is about the key of --unique"),
        (("--unique-for", "1h"), "--unique-for is about the key of --unique"),
        (("--unique", "u", "--unique-until", "x"), "'x': give one of settled"),
        (("--unique", "u", "--on-conflict", "x"), "'x': give one of keep, replace, error"),
    ],
)
def test_rules_that_cannot_be(streamq: Streamq, args: tuple[str, ...], said: str) -> None:
    result = streamq("produce", "n=1", *args)
    assert (result.code, result.out) == (2, "")
    assert said in result.err


def test_an_expiry_counts_from_the_writing_to_the_stream(
    streamq: Streamq, client: redis.Redis
) -> None:
    """A job that is due later than its expiry is long is not expired when it is due."""
    name = produce(streamq, "n=1", "--delay", "1h", "--expires", "5m")
    shown = json.loads(streamq("scheduled", "show", name, "--json").out)
    assert shown["expires"] == 300
    # As if it had been produced two hours ago.
    client.zadd("{jobs}:scheduled", {name: (time.time() - 3600) * 1000})
    done = streamq("consume", "--max-jobs", "1", "--metrics-port", "0")
    assert done.code == 0
    status = json.loads(streamq("status", name, "--json").out)
    assert [group["state"] for group in status["groups"]] == ["succeeded"]

    late = produce(streamq, "n=2", "--delay", "0", "--expires", "1ms")
    for group in ("first", "default"):  # the first one lets it into the stream
        done = streamq("consume", "--max-jobs", "1", "--metrics-port", "0", "--group", group)
        assert done.code == 0
    status = json.loads(streamq("status", late, "--group", "default", "--json").out)
    assert [group["state"] for group in status["groups"]] == ["expired"]
    assert raw_entries(client, "jobs") == []
