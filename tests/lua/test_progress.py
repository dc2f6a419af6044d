"""progress.lua: how far each group has come."""

from __future__ import annotations

from typing import Any

import redis

from streamq import lua
from tests.lua.support import Group, add, run, succeeded


def progress(client: redis.Redis, most: int = 100) -> tuple[int, dict[str, list[Any]]]:
    length, *rows = run(client, lua.progress("jobs", most))
    return length, {row[0]: row[1:] for row in rows}


def test_every_group_by_itself(client: redis.Redis) -> None:
    ids = add(client, 5)
    done, half, new = Group(client, "done"), Group(client, "half"), Group(client, "new")
    done.read("a")
    done.settle("a", *map(succeeded, ids))
    half.read("a", 3)
    half.settle("a", succeeded(ids[0]))
    assert progress(client) == (5, {
        "done": [ids[4], 0, "", "", 0, 5],
        "half": [ids[2], 2, ids[3], ids[1], 2, 3],
        "new": ["0-0", 5, ids[0], "", 0, 0],
    })  # fmt: skip
    assert new.read("b") == ids


def test_a_lag_that_the_server_has_lost_is_counted_from_either_side(client: redis.Redis) -> None:
    ids = add(client, 100)
    early, late = Group(client, "early"), Group(client, "late")
    early.read("a", 10)
    late.read("a", 88)
    client.xdel("jobs", ids[95])
    raw: Any = client.xinfo_groups("jobs")
    assert [group["lag"] for group in raw] == [None, None]
    _, groups = progress(client, most=100)
    assert (groups["early"][1], groups["late"][1]) == (89, 11)


def test_one_that_takes_too_long_to_count_is_unknown(client: redis.Redis) -> None:
    ids = add(client, 500)
    Group(client).read("a", 250)
    client.xdel("jobs", ids[300])
    assert progress(client, most=100)[1]["g"][1] == -1
    assert progress(client, most=300)[1]["g"][1] == 249


def test_no_groups_and_no_stream(client: redis.Redis) -> None:
    assert run(client, lua.progress("jobs", 10)) is None
    add(client)
    assert progress(client) == (1, {})


def test_it_may_not_write() -> None:
    assert lua.load("progress").source.startswith("#!lua flags=no-writes\n")
