"""peek.lua: pending entries as they are at one moment."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from streamq import lua
from streamq.wire.keys import PARKED
from tests.lua.support import Group, add, run, succeeded

MIB = 1024 * 1024


@pytest.fixture
def group(client: redis.Redis) -> Group:
    return Group(client)


def peek(group: Group, *ids: str, cut: int = 100) -> tuple[int, list[Any]]:
    now, *rows = run(group.client, lua.peek(group.keys, cut, ids))
    return now, rows


def test_who_holds_it_and_what_is_in_it(group: Group, client: redis.Redis) -> None:
    ids = add(client, 2)
    group.read("a")
    group.age(ids[1], 5000)
    _, [first, second] = peek(group, *ids)
    assert first[0] == second[0] == "a"
    assert first[1] < 5000 <= second[1]
    assert (first[2:], second[2:]) == (
        [1, "", "", ["type", "t", "data", '{"n":0}'], "", ["", "", ""], "", 0],
        [1, "", "", ["type", "t", "data", '{"n":1}'], "", ["", "", ""], "", 0],
    )


def test_a_parked_one_has_its_time_and_its_error(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read("a")
    group.park(id, delay=60_000)
    now, [[holder, _, count, due, error, _, allowed, *_]] = peek(group, id)
    assert (holder, count, error, allowed) == (PARKED, 1, "oops", "4")
    assert 0 < float(due) - now <= 60_000


def test_what_is_not_pending(group: Group, client: redis.Redis) -> None:
    settled, queued = add(client, 2)
    group.read("a", 1)
    group.settle("a", succeeded(settled))
    _, rows = peek(group, settled, queued, "1-1")
    assert rows == [0, 0, 0]


def test_what_was_deleted_meanwhile_has_no_fields(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read("a")
    client.xdel("jobs", id)
    _, [row] = peek(group, id)
    assert (row[0], row[5]) == ("a", [])


def test_a_foreign_key_in_the_place_of_a_record_does_no_harm(
    group: Group, client: redis.Redis
) -> None:
    [id] = add(client)
    group.read("a")
    client.set(group.keys.job(id), "x")
    _, [row] = peek(group, id)
    assert row[4] == ""


def test_large_entries_end_it_early(group: Group, client: redis.Redis) -> None:
    ids = [str(client.xadd("jobs", {"data": "x" * (MIB // 2)})) for _ in range(5)]
    group.read("a")
    _, rows = peek(group, *ids)
    assert len(rows) == 2
    assert rows[0][5] == ["data", "x" * 100]


def test_it_may_not_write() -> None:
    assert lua.load("peek").source.startswith("#!lua flags=no-writes\n")
