"""``streamq dlq``: dead letters on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import anyio
import pytest
import redis

from streamq.wire.keys import group_keys
from tests.cli.support import Result, at_terminal
from tests.servers import RedisServer
from tests.situations import GROUP, add, entries, fail

Streamq = Callable[..., Result]

DLQ = group_keys("jobs", GROUP).dlq
NONE = "streamq: the group images of jobs has no dead letter 1-1; see streamq dlq list\n"


@pytest.fixture
def dead(server: RedisServer, client: redis.Redis) -> list[str]:
    """Three dead letters, the last of another type."""
    ids = [
        add(client, {"type": type, "data": json.dumps({"n": n})})
        for n, type in enumerate(("resize", "resize", "other"))
    ]
    anyio.run(partial(fail, server.unix_url, retries=0, jobs=3))
    return ids


def parsed(result: Result) -> list[dict[str, object]]:
    assert (result.code, result.err) == (0, "")
    return [json.loads(line) for line in result.out.splitlines()]


def test_list(streamq: Streamq, dead: list[str]) -> None:
    title, *rows, blank, total = streamq("dlq", "list").out.splitlines()
    assert title.split() == [
        "JOB", "GROUP", "TYPE", "ATTEMPTS", "DEAD", "SINCE", "REASON", "ERROR", "DATA",
    ]  # fmt: skip
    assert [row.split()[0] for row in rows] == dead
    assert rows[0].endswith('RuntimeError: no such\\x1b[31m file  {"n": 0}')
    assert (blank, total) == ("", "3 dead letters")


def test_list_at_a_terminal_shows_the_next_command(streamq: Streamq, dead: list[str]) -> None:
    code, shown = at_terminal(["dlq", "list", "--newest"])
    assert code == 0
    assert f"  streamq dlq redrive {dead[2]} --group images" in shown.splitlines()
    assert '    data   {"n": 2}' in shown.splitlines()


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], [0, 1, 2]),
        (["--type", "other"], [2]),
        (["--older-than", "1h"], []),
        (["--newest", "--limit", "2"], [2, 1]),
        (["--group", "images"], [0, 1, 2]),
    ],
)
def test_list_as_json(
    streamq: Streamq, dead: list[str], options: list[str], found: list[int]
) -> None:
    letters = parsed(streamq("dlq", "list", "--json", *options))
    assert [letter["job_id"] for letter in letters] == [dead[n] for n in found]


def test_data_is_printed_as_it_was_written(
    streamq: Streamq, server: RedisServer, client: redis.Redis
) -> None:
    add(client, {"data": '{"n":123456789012345678901234567890,"x":1.10}'})
    anyio.run(partial(fail, server.unix_url, retries=0))
    out = streamq("dlq", "list", "--json").out
    assert '"data":{"n":123456789012345678901234567890,"x":1.10}' in out


def test_a_table_says_of_how_many(streamq: Streamq, dead: list[str]) -> None:
    assert streamq("dlq", "list", "--type", "other").out.endswith("1 dead letter shown of 3\n")


def test_a_limit_is_for_all_groups_together(
    streamq: Streamq, client: redis.Redis, dead: list[str]
) -> None:
    client.xgroup_create("jobs", "audit")
    client.xadd(group_keys("jobs", "audit").dlq, {"id": "1-1", "reason": "x"})
    assert len(parsed(streamq("dlq", "list", "--json"))) == 4
    assert len(parsed(streamq("dlq", "list", "--json", "--limit", "2"))) == 2
    assert streamq("dlq", "list", "--limit", "2").out.endswith("2 dead letters shown of 4\n")


def test_none(streamq: Streamq, client: redis.Redis) -> None:
    client.xgroup_create("jobs", GROUP, mkstream=True)
    assert streamq("dlq", "list") == (0, "There are no dead letters\n", "")
    assert streamq("dlq", "list", "--group", "audit").code == 1
    assert streamq("dlq", "redrive", "--all").out == "images has no dead letters to redrive\n"


def test_show(streamq: Streamq, dead: list[str]) -> None:
    result = streamq("dlq", "show", dead[1])
    told, _, traceback = result.out.partition("\n\n")
    fields = dict(line.split(maxsplit=1) for line in told.splitlines())
    assert (fields["job"], fields["group"], fields["type"]) == (dead[1], "images", "resize")
    assert (fields["reason"], fields["data"]) == ("retries exhausted", '{"n": 1}')
    [letter] = parsed(streamq("dlq", "show", dead[1], "--json"))
    assert letter["data"] == {"n": 1}
    assert letter["traceback"] == traceback.removesuffix("\n")
    assert traceback.startswith("Traceback (most recent call last):\n  File ")
    status = streamq("status", dead[1], "--group", GROUP)
    assert status.out.endswith(f"\n\n{traceback}")
    assert parsed(streamq("dlq", "show", str(letter["id"]), "--json")) == [letter]
    gone = streamq("dlq", "show", "1-1")
    told = "streamq: no group of jobs has a dead letter 1-1; see streamq dlq list\n"
    assert (gone.code, gone.err) == (1, told)
    assert streamq("dlq", "show", "1-1", "--group", GROUP).err == NONE


def test_redrive_by_id(streamq: Streamq, client: redis.Redis, dead: list[str]) -> None:
    result = streamq("dlq", "redrive", dead[0], "1-1")
    [(new_id, fields)] = entries(client).items()
    assert result == (
        1, f"Redriven {dead[0]} as {new_id}\n", NONE,
    )  # fmt: skip
    assert fields["for"] == "images"
    assert client.xlen(DLQ) == 2


def test_redrive_all_and_filtered(streamq: Streamq, client: redis.Redis, dead: list[str]) -> None:
    assert streamq("dlq", "redrive", "--type", "other").out.startswith(f"Redriven {dead[2]} as ")
    assert streamq("dlq", "redrive", "--all", "--older-than", "1h").out.startswith("images has no")
    rows = parsed(streamq("dlq", "redrive", "--all", "--json"))
    assert [row["id"] for row in rows] == dead[:2]
    assert [row["new_id"] for row in rows] == list(entries(client))[1:]
    assert not client.exists(DLQ)


def test_redrive_of_many_tells_how_many(
    streamq: Streamq, server: RedisServer, client: redis.Redis
) -> None:
    for n in range(12):
        add(client, {"data": str(n)})
    anyio.run(partial(fail, server.unix_url, retries=0, jobs=12))
    out = streamq("dlq", "redrive", "--all").out.splitlines()
    assert len(out) == 11
    assert out[-1] == "… and 2 more: 12 dead letters redriven to images"


def test_redrive_needs_to_know_what_and_for_whom(
    streamq: Streamq, client: redis.Redis, dead: list[str]
) -> None:
    nothing = streamq("dlq", "redrive")
    assert (nothing.code, nothing.err) == (
        2, "streamq: say which: IDs, --all, --type or --older-than\n",
    )  # fmt: skip
    both = streamq("dlq", "redrive", dead[0], "--all")
    assert both.code == 2
    assert streamq("dlq", "purge", "first").err.startswith("streamq: 'first' is not a job ID")
    client.xgroup_create("jobs", "audit")
    assert streamq("dlq", "redrive", "--all").code == 2
    assert client.xlen(DLQ) == 3
    client.xgroup_destroy("jobs", "images")
    gone = streamq("dlq", "redrive", "--all", "--group", "images")
    assert gone.code == 1
    assert "no group images" in gone.err
    assert client.xlen(DLQ) == 3


def test_purge_asks(streamq: Streamq, client: redis.Redis, dead: list[str]) -> None:
    result = streamq("dlq", "purge", "--all")
    assert (result.code, result.out) == (2, "")
    assert "Delete 3 dead letters of images for good?" in result.err
    code, shown = at_terminal(["dlq", "purge", "--type", "other"], typed="n\n")
    assert code == 1
    assert "Delete 1 dead letter of images for good? [y/N]" in shown
    assert client.xlen(DLQ) == 3
    code, shown = at_terminal(["dlq", "purge", "--type", "other"], typed="y\n")
    assert code == 0
    assert client.xlen(DLQ) == 2


def test_purge(streamq: Streamq, client: redis.Redis, dead: list[str]) -> None:
    result = streamq("dlq", "purge", dead[0], "1-1", "--yes")
    assert result == (
        1, "Deleted 1 dead letter of images\n", NONE,
    )  # fmt: skip
    older = streamq("dlq", "purge", "--older-than", "1h", "--yes")
    assert older.out == "Deleted 0 dead letters of images\n"
    assert streamq("dlq", "purge", "--all", "--yes").out == "Deleted 2 dead letters of images\n"
    assert not client.exists(DLQ)


def test_dead_letters_of_a_deleted_group_can_be_listed_and_purged(
    streamq: Streamq, client: redis.Redis, dead: list[str]
) -> None:
    client.xgroup_destroy("jobs", "images")
    letters = parsed(streamq("dlq", "list", "--group", "images", "--json"))
    assert [letter["job_id"] for letter in letters] == dead
    assert streamq("dlq", "purge", "--all", "--group", "images", "--yes").code == 0
    assert not client.exists(DLQ)
