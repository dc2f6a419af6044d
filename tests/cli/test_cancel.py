"""Jobs for later, from the command line."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import redis

from tests.cli.support import Result
from tests.lua.support import raw_entries

Streamq = Callable[..., Result]


def test_a_job_for_later_can_be_taken_back(streamq: Streamq, client: redis.Redis) -> None:
    written = streamq("produce", "--type", "remind", "user:=7", "--delay", "2h")
    assert written.code == 0
    name = written.out.removeprefix("Scheduled job: ").strip()
    assert client.zscore("{jobs}:scheduled", name) is not None

    assert streamq("cancel", name).out == f"Cancelled {name}\n"
    assert client.keys("*") == []

    again = streamq("cancel", name)
    assert (again.code, again.out) == (1, "")
    assert again.err == (
        f"streamq: the stream jobs has no job {name} to cancel: it has ended, was cancelled, "
        "or is on another stream (--stream)\n"
    )


def test_the_same_key_is_the_same_job(streamq: Streamq, client: redis.Redis) -> None:
    first = streamq("produce", "n=1", "--unique", "order-1", "--unique-for", "1h")
    again = streamq("produce", "n=1", "--unique", "order-1")
    assert first.code == again.code == 0
    assert first.out.startswith("Enqueued job: ")
    assert again.out == first.out.replace("Enqueued job", "Already known")
    assert 0 < int(client.pttl("{jobs}:unique:order-1")) <= 3_600_000
    assert client.xlen("jobs") == 1


def test_a_job_that_expires_says_so_in_its_entry(streamq: Streamq, client: redis.Redis) -> None:
    assert streamq("produce", "n=1", "--expires", "5m").code == 0
    [(_, fields)] = raw_entries(client, "jobs")
    assert ("expires", "300000") in fields


def test_options_for_all_copies(streamq: Streamq, client: redis.Redis) -> None:
    options = ("--key", "user-7", "--expires", "5", "--trace", "00-1")
    assert streamq("produce", "n=1", "--count", "2", *options).code == 0
    for _, fields in raw_entries(client, "jobs"):
        assert fields[1:] == [("key", "user-7"), ("trace", "00-1"), ("expires", "5000")]


def test_a_job_for_a_certain_time(streamq: Streamq, client: redis.Redis) -> None:
    written = streamq("produce", "n=1", "--at", "2100-01-31T07:00+01:00", "--json")
    job = orjson.loads(written.out)
    assert job["scheduled_for"] == 4_105_058_400
    assert client.zscore("{jobs}:scheduled", job["id"]) == 4_105_058_400_000
