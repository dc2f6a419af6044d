"""``streamq info``: the server and its streams."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import anyio
import pytest
import redis

from streamq.wire.entry import LARGEST_ID
from tests.cli.support import Result, at_terminal
from tests.servers import RedisServer
from tests.situations import add, fail, read, succeed

Streamq = Callable[..., Result]


def test_a_group_that_nobody_reads_is_named(
    streamq: Streamq, server: RedisServer, client: redis.Redis
) -> None:
    job_id = add(client, {"data": "{}"})
    client.xgroup_create("jobs", "audit", "0")
    anyio.run(partial(succeed, server.unix_url))
    first, blank, stream, title, audit, images, pinned = streamq("info").out.splitlines()
    assert first.startswith(("Valkey ", "Redis "))
    assert str(server.socket) in first
    assert (blank, stream) == ("", "jobs: 1 entry")
    assert title.startswith("GROUP")
    assert audit.split()[:3] == ["audit", "1", "0"]
    assert images.split()[:3] == ["images", "0", "0"]
    assert pinned.startswith(f"Oldest entry: {job_id}, ")
    assert pinned.endswith(" old, kept by audit (no consumer alive)")


def test_json(streamq: Streamq, client: redis.Redis) -> None:
    add(client, {"data": "{}"})
    client.xadd("mails", {"data": "{}"})
    client.xgroup_create("jobs", "audit", "0")
    info = json.loads(streamq("info", "--json").out)
    assert [(stream["name"], stream["pinned_by"]) for stream in info["streams"]] == [
        ("jobs", ["audit"]), ("mails", []),
    ]  # fmt: skip
    assert info["complete"]
    assert info["server"]["maxmemory_policy"] == "noeviction"


def test_it_fits_a_terminal(streamq: Streamq, client: redis.Redis) -> None:
    client.xgroup_create("jobs", "audit", "0", mkstream=True)
    code, shown = at_terminal(["info"])
    assert code == 0
    assert "jobs: 0 entries" in shown.splitlines()


def test_streams_without_groups_and_no_streams(streamq: Streamq, client: redis.Redis) -> None:
    assert "There are no streams yet" in streamq("info").out
    add(client, {"a": "b"})
    assert streamq("info").out.splitlines()[2:] == ["jobs: 1 entry", "No group reads it"]


def test_dead_letters_left_by_a_deleted_group(
    streamq: Streamq, server: RedisServer, client: redis.Redis
) -> None:
    add(client, {"data": "{}"})
    anyio.run(partial(fail, server.unix_url, retries=0))
    client.xgroup_destroy("jobs", "images")
    assert "The deleted group images has left 1 dead letter" in streamq("info").out


def test_a_dangerous_setting_is_told(
    streamq: Streamq, make_server: Callable[..., RedisServer]
) -> None:
    server = make_server("--maxmemory-policy", "allkeys-lru")
    out = streamq("info", "--url", server.unix_url).out
    assert "Warning: maxmemory-policy is allkeys-lru" in out


@pytest.mark.parametrize("stream", ["jobs", "{eu}:jobs"])
def test_a_stream_that_has_only_jobs_for_later(streamq: Streamq, stream: str) -> None:
    streamq("produce", "a=1", "--delay", "1h", "--stream", stream)
    assert streamq("info").out.splitlines()[2:] == [f"{stream}: 0 entries, 1 scheduled"]
    [shown] = json.loads(streamq("info", "--json").out)["streams"]
    assert (shown["name"], shown["length"], shown["scheduled"]) == (stream, 0, 1)


def test_jobs_for_later_of_a_stream_that_exists(streamq: Streamq, client: redis.Redis) -> None:
    streamq("produce", "a=1", "--delay", "1h")
    add(client, {"a": "b"})
    assert streamq("info").out.splitlines()[2:] == [
        "jobs: 1 entry, 1 scheduled",
        "No group reads it",
    ]


def test_keys_of_somebody_else_are_no_jobs_for_later(streamq: Streamq, client: redis.Redis) -> None:
    client.hset("other:scheduled:jobs", "a", "b")
    client.hset("{other}:scheduled:jobs", "a", "b")
    client.set("{other}:scheduled", "text")
    assert "There are no streams yet" in streamq("info").out


def test_it_says_which_lease_it_assumes(streamq: Streamq, client: redis.Redis) -> None:
    add(client, {"a": "b"})
    read(client, "web-1")
    assert "lease" not in streamq("info", "--lease", "1h").out
    assert streamq("info", "--lease", "0").out.endswith("assumed to be 0 s (--lease)\n")


def test_the_largest_id_there_is(streamq: Streamq, client: redis.Redis) -> None:
    client.xadd("jobs", {"type": "resize", "data": "{}"}, id=LARGEST_ID)
    read(client, "web-1")
    for command in (["info"], ["group", "list"], ["pending"], ["status", LARGEST_ID]):
        for options in ([], ["--json"]):
            result = streamq(*command, *options)
            assert (result.code, result.err) == (0, ""), command
    assert streamq("pending", "--json").out.startswith(f'{{"id":"{LARGEST_ID}"')
    assert streamq("pending", "dead-letter", LARGEST_ID).code == 0
    for command in (["dlq", "list"], ["dlq", "show", LARGEST_ID]):
        assert LARGEST_ID in streamq(*command).out
    assert streamq("dlq", "purge", LARGEST_ID, "--yes").out == "Deleted 1 dead letter of images\n"
    assert streamq("status", f"0-{2**64}").code == 2
