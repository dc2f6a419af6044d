"""A stream that has partitions, on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable

import redis

from tests.cli.support import Result

Streamq = Callable[..., Result]


def test_growing(streamq: Streamq, client: redis.Redis) -> None:
    result = streamq("stream", "grow", "jobs", "--to", "4")
    assert result == (0, "The stream jobs has 4 partitions\n", "")
    result = streamq("stream", "grow", "--to", "8")
    assert result == (0, "The stream jobs has 8 partitions, and had 4\n", "")
    assert streamq("stream", "show").out.startswith("partitions     8\n")
    assert json.loads(streamq("stream", "grow", "--to", "8", "--json").out)["partitions"] == 8
    result = streamq("stream", "grow", "--to", "12")
    assert (result.code, result.out) == (2, "")
    assert "it can grow to a multiple of that, 16, 24, 32, not to 12" in result.err
    for args in ((), ("--to", "0"), ("--to", "2000"), ("--to", "x")):
        assert streamq("stream", "grow", *args).code == 2


def test_all_commands_take_its_name(streamq: Streamq, client: redis.Redis) -> None:
    streamq("stream", "grow", "--to", "4")
    made = json.loads(streamq("produce", "n=1", "--key", "a", "--json").out)
    assert made["stream"] == "{jobs:3}"
    for n in range(2, 6):
        assert streamq("produce", f"n={n}").code == 0
    assert streamq("produce", "n=6", "--delay", "1h").code == 0
    assert streamq("group", "create", "g").code == 0
    out = streamq("info").out
    assert "\njobs: 5 entries in 4 partitions, 1 scheduled\n" in out
    assert streamq("group", "pause", "g").code == 0
    [group] = map(json.loads, streamq("group", "list", "--json").out.splitlines())
    assert (group["stream"], group["queued"]) == ("jobs", 5)
    assert streamq("group", "resume", "g").code == 0
    assert "1 job for later" in streamq("scheduled", "list").out
    assert streamq("status", made["id"]).out.startswith(
        f"job      {made['id']}\nstream   {{jobs:3}}\n"
    )
    assert streamq("doctor", "--stream", "jobs").out


def test_consuming_and_dead_letters(streamq: Streamq, client: redis.Redis) -> None:
    streamq("stream", "grow", "--to", "4")
    made = [
        json.loads(streamq("produce", f"n={n}", "--key", key, "--json").out)
        for n, key in enumerate("abd")
    ]
    options = ("--group", "g", "--burst", "--quiet", "--metrics-port", "0")
    assert streamq("consume", *options, "--exec", "false", "--retries", "1").code == 0
    [row, *rest] = map(json.loads, streamq("dlq", "list", "--json").out.splitlines())
    assert len(rest) == 2
    assert row["stream"].startswith("{jobs:")
    assert "0 pending" in streamq("pending").out
    assert streamq("dlq", "redrive", "--all").code == 0
    result = streamq("consume", *options)
    assert (result.code, result.out.count("Processing job")) == (0, 3)
    assert {job["stream"] for job in made} == {"{jobs:3}", "{jobs:1}", "{jobs:0}"}


def test_pending_names_the_partition(streamq: Streamq, client: redis.Redis) -> None:
    streamq("stream", "grow", "--to", "4")
    id = json.loads(streamq("produce", "n=1", "--key", "a", "--json").out)["id"]
    client.xgroup_create("{jobs:3}", "g", "0")
    client.xreadgroup("g", "web-1", {"{jobs:3}": ">"})
    assert "{jobs:3}" in streamq("pending").out
    assert streamq("pending", "release", "--consumer", "web-1", "--force").code == 0
    assert streamq("pending", "dead-letter", id).out == f"{id} is now a dead letter of g\n"


def test_one_id_in_two_partitions(streamq: Streamq, client: redis.Redis) -> None:
    streamq("stream", "grow", "--to", "2")
    for n in (0, 1):
        client.xadd(f"{{jobs:{n}}}", {"n": str(n)}, id="5-1")
    out = streamq("status", "5-1").out
    assert "{jobs:0}" in out
    assert "{jobs:1}" in out
    result = streamq("cancel", "5-1")
    assert "several partitions of jobs have a job 5-1" in result.err
    assert streamq("cancel", "5-1", "--stream", "{jobs:1}").code == 0
    assert (client.xlen("{jobs:0}"), client.xlen("{jobs:1}")) == (1, 0)
