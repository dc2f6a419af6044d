"""produce_within.lua, and the check in front of other scripts: no more than may wait."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from streamq import lua
from streamq.wire.keys import stream_keys
from tests.lua.support import Group, add, ids_of, run, succeeded

KEYS = stream_keys("jobs")
FIELDS = ("type", "t", "data", "{}")


def produce(client: redis.Redis, most: int, count: int = 1) -> Any:
    return run(client, lua.produce_within("jobs", most, [FIELDS] * count))


def test_entries_are_written_while_there_is_room(client: redis.Redis) -> None:
    backlog, *ids = produce(client, 5, 3)
    assert (backlog, len(ids)) == (0, 3)
    backlog, *more = produce(client, 5, 3)
    assert (backlog, len(more)) == (3, 2)
    assert produce(client, 5, 3) == [5]
    assert ids_of(client) == [*ids, *more]


def test_what_is_retained_is_no_backlog(client: redis.Redis) -> None:
    run(client, lua.configure(KEYS, {"retain": 3_600_000}))
    assert produce(client, 3, 5)[0] == 0, "without a group, all of it waits"
    assert produce(client, 3) == [3]
    fast, slow = Group(client, "fast"), Group(client, "slow")
    ids = ids_of(client)
    for group in (fast, slow):
        group.read("a", 2)
        group.settle("a", *map(succeeded, ids[:2]))
    fast.read()
    assert produce(client, 3, 5)[0] == 1, "queued with one, pending with the other"
    assert produce(client, 3) == [3]
    assert len(ids_of(client)) == 5


def test_a_lag_that_the_server_does_not_know_counts_as_all(client: redis.Redis) -> None:
    run(client, lua.configure(KEYS, {"retain": 3_600_000}))
    ids = add(client, 4)
    Group(client, start=ids[1])
    assert produce(client, 4) == [4]
    assert produce(client, 5)[0] == 4


def test_in_front_of_another_script(client: redis.Redis) -> None:
    def once(key: str, most: int) -> Any:
        call = lua.within(lua.produce_once(KEYS, key, 1000, FIELDS), most)
        return run(client, call)

    id, created = once("a", 1)
    assert created == 1
    with pytest.raises(redis.ResponseError, match="BACKLOGFULL 1"):
        once("b", 1)
    assert once("a", 2) == [id, 0, None]
    assert once("b", 2)[1] == 1
    assert len(ids_of(client)) == 2
