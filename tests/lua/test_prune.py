"""prune.lua: delete what every remaining group has settled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from streamq import lua
from tests.lua.support import AWKWARD, Group, add, add_at, ids_of, run, succeeded
from tests.servers import RedisServer


def prune(client: redis.Redis, start: str = "-", count: int = 100) -> Any:
    return run(client, lua.prune("jobs", start, count))


def test_what_only_a_deleted_group_had_kept_goes(client: redis.Redis) -> None:
    first, second, gone = (Group(client, name) for name in ("first", "second", "gone"))
    ids = add(client, 6)
    assert gone.start == "0"
    first.read()
    second.read(count=5)
    first.settle("a", *map(succeeded, ids[:4]))
    second.settle("a", *map(succeeded, ids[:3]))
    assert prune(client) == [0, ""]
    client.xgroup_destroy("jobs", "gone")
    assert prune(client) == [3, ""]
    assert ids_of(client) == ids[3:]


@pytest.mark.parametrize("count", [1, 3, 5, 9])
def test_a_chunk_at_a_call(client: redis.Redis, count: int) -> None:
    group = Group(client)
    Group(client, "gone")
    ids = add(client, 10)
    group.read()
    group.settle("a", *map(succeeded, ids[::2]))
    client.xgroup_destroy("jobs", "gone")
    deleted, start, calls = 0, "-", 0
    while start:
        more, start = prune(client, start, count)
        deleted += more
        calls += 1
    assert deleted == 5
    assert calls == 10 // count + 1
    assert ids_of(client) == ids[1::2]


def test_ids_of_different_lengths(client: redis.Redis) -> None:
    group = Group(client)
    Group(client, "gone")
    add_at(client, AWKWARD)
    group.read(count=5)
    group.settle("a", *map(succeeded, AWKWARD[:3]))
    client.xgroup_destroy("jobs", "gone")
    assert prune(client, count=2) == [2, "(" + AWKWARD[1]]
    assert prune(client, "(" + AWKWARD[1]) == [1, ""]
    assert ids_of(client) == AWKWARD[3:]


def test_without_groups_everything_is_still_queued(client: redis.Redis) -> None:
    ids = add(client, 3)
    assert prune(client) == [0, ""]
    assert ids_of(client) == ids


def test_a_missing_stream_is_an_error(client: redis.Redis) -> None:
    with pytest.raises(redis.ResponseError, match="no such key"):
        prune(client)
    assert client.keys("*") == []


def test_it_works_when_memory_is_short(make_server: Callable[..., RedisServer]) -> None:
    with make_server().client() as client:
        group = Group(client)
        Group(client, "gone")
        [id] = add(client)
        group.read()
        group.settle("a", succeeded(id))
        client.xgroup_destroy("jobs", "gone")
        client.config_set("maxmemory", "1")
        assert prune(client) == [1, ""]
