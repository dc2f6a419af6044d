"""``streamq group``: groups on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import redis

from tests.cli.support import Result, at_terminal
from tests.servers import RedisServer
from tests.situations import GROUP, add, fail, read

Streamq = Callable[..., Result]


def test_create_and_list(streamq: Streamq, client: redis.Redis) -> None:
    assert streamq("group", "create", "images") == (0, "Created the group images on jobs\n", "")
    add(client, {"a": "b"})
    assert streamq("group", "create", "late", "--from", "$").code == 0
    read(client, "web-1")
    title, first, second = streamq("group", "list").out.splitlines()
    assert title.split() == [
        "GROUP", "QUEUED", "PENDING", "RUNNING", "RETRYING", "STALLED", "DEAD", "ALIVE", "GONE",
    ]  # fmt: skip
    assert first.split() == ["images", "0", "1", "1", "0", "0", "0", "1", "0"]
    assert second.split() == ["late", "0", "0", "0", "0", "0", "0", "0", "0"]
    rows = [json.loads(line) for line in streamq("group", "list", "--json").out.splitlines()]
    assert [row["name"] for row in rows] == ["images", "late"]
    assert rows[0]["consumers"][0]["name"] == "web-1"


def test_the_list_fits_a_terminal(streamq: Streamq) -> None:
    streamq("group", "create", "images")
    code, shown = at_terminal(["group", "list"])
    assert code == 0
    assert [line.split()[0] for line in shown.splitlines()[1:]] == ["images"]


def test_create_what_exists_or_cannot_be(streamq: Streamq) -> None:
    streamq("group", "create", "images")
    result = streamq("group", "create", "images")
    assert (result.code, result.err) == (
        1, "streamq: the stream jobs already has a group images\n",
    )  # fmt: skip
    assert streamq("group", "create", "my group").code == 2
    assert streamq("group", "create", "x", "--from", "yesterday").code == 2


def test_list_of_no_groups_and_no_stream(streamq: Streamq, client: redis.Redis) -> None:
    assert streamq("group", "list").code == 1
    add(client, {"a": "b"})
    assert streamq("group", "list") == (0, "The stream jobs has no groups\n", "")


def test_delete_asks_when_work_would_be_lost(streamq: Streamq, client: redis.Redis) -> None:
    for _ in range(3):
        add(client, {"a": "b"})
    read(client, "lost")
    client.xgroup_create("jobs", "audit", "$")
    result = streamq("group", "delete", GROUP, "--lease", "0")
    assert (result.code, result.out) == (2, "")
    assert "Delete the group images with 2 queued and 1 pending jobs?" in result.err
    code, _ = at_terminal(["group", "delete", GROUP, "--lease", "0"], typed="n\n")
    assert code == 1
    assert client.xlen("jobs") == 3
    assert streamq("group", "delete", GROUP, "--lease", "0", "--yes") == (
        0, "Deleted the group images of jobs, and 3 entries that only it had kept\n", "",
    )  # fmt: skip
    assert [group["name"] for group in client.xinfo_groups("jobs")] == ["audit"]


def test_delete_of_a_group_that_has_nothing_does_not_ask(
    streamq: Streamq, client: redis.Redis
) -> None:
    streamq("group", "create", "images")
    streamq("group", "create", "audit")
    assert streamq("group", "delete", "images").code == 0


def test_the_last_group_leaves_its_queue(streamq: Streamq, client: redis.Redis) -> None:
    add(client, {"a": "b"})
    client.xgroup_create("jobs", GROUP, "0")
    assert streamq("group", "delete", GROUP, "--yes").out.splitlines() == [
        "Deleted the group images of jobs, and 0 entries that only it had kept",
        "It was the last group: the entries stay, queued for the next one",
    ]
    assert client.xlen("jobs") == 1


def test_delete_of_a_group_in_use(streamq: Streamq, client: redis.Redis) -> None:
    add(client, {"a": "b"})
    read(client, "web-1")
    result = streamq("group", "delete", GROUP)
    assert (result.code, result.out) == (1, "")
    assert result.err.endswith(
        " its consumer web-1 is alive; stop it first; if it was killed, it counts as gone 30 s "
        "after its last heartbeat; --force deletes the group now\n"
    )
    assert streamq("group", "delete", GROUP, "--force", "--yes").code == 0


def test_delete_with_dead_letters(
    streamq: Streamq, server: RedisServer, client: redis.Redis
) -> None:
    add(client, {"a": "b"})
    anyio.run(partial(fail, server.unix_url, retries=0))
    result = streamq("group", "delete", GROUP, "--dead-letters")
    assert (result.code, result.out) == (2, "")
    assert "Delete the group images with 1 dead letter?" in result.err
    assert streamq("group", "delete", GROUP, "--dead-letters", "--yes").code == 0
    left: Any = client.keys("*")
    assert [key for key in left if client.pttl(key) == -1] == ["jobs"]  # a record ends by itself


def test_delete_of_what_is_not_there(streamq: Streamq, client: redis.Redis) -> None:
    assert streamq("group", "delete", GROUP).code == 1
    client.xgroup_create("jobs", "audit", mkstream=True)
    result = streamq("group", "delete", GROUP)
    assert result.err == "streamq: the stream jobs has no group images: its only group is audit\n"


def test_delete_again_does_what_an_interrupted_one_had_left(
    streamq: Streamq, client: redis.Redis
) -> None:
    job_id = add(client, {"a": "b"})
    read(client, "web-1", group="audit")
    client.xack("jobs", "audit", job_id)
    add(client, {"a": "b"})
    assert streamq("group", "delete", GROUP) == (
        0,
        "The group images of jobs was already deleted; "
        "pruned 1 entry that every group has settled\n",
        "",
    )
    assert client.xlen("jobs") == 1
    assert streamq("group", "delete", GROUP).code == 1


def test_the_list_says_which_lease_it_assumes(streamq: Streamq, client: redis.Redis) -> None:
    add(client, {"a": "b"})
    read(client, "web-1")
    assert "lease" not in streamq("group", "list", "--lease", "1h").out
    assert "the lease, assumed to be 0 s" in streamq("group", "list", "--lease", "0").out


def test_nothing_is_cut_on_a_narrow_terminal(streamq: Streamq) -> None:
    streamq("group", "create", "images")
    _, shown = at_terminal(["group", "list"], columns=30)
    assert "GONE" in shown.splitlines()[0]
