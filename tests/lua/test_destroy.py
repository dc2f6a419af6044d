"""destroy.lua: delete a group, but not under a worker's feet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from streamq import lua
from tests.lua.support import Group, add, run
from tests.servers import RedisServer

LONG = 3_600_000
"""A silence that no consumer of these tests has kept, ms."""


@pytest.fixture
def group(client: redis.Redis) -> Group:
    return Group(client)


def destroy(group: Group, silence: int, *, dead_letters: bool = False) -> Any:
    call = lua.destroy(group.keys, silence, dead_letters=dead_letters)
    return run(group.client, call)


def fill(group: Group) -> None:
    """A group that uses every key it can."""
    died, parked, _ = add(group.client, 3)
    group.read("a")
    group.to_dead_letters(died)
    group.park(parked, delay=LONG)
    group.reclaim("a", lease=LONG, pause=LONG)


def test_the_group_and_the_keys_that_only_it_uses_go(group: Group, client: redis.Redis) -> None:
    other = Group(client, "other")
    fill(group)
    assert destroy(group, 0) == [0, []]
    left = set(client.keys("*"))
    assert not left & {group.keys.retry, group.keys.reclaim_lock}
    assert group.keys.dlq in left
    assert other.read("b")


def test_dead_letters_go_when_told(group: Group, client: redis.Redis) -> None:
    fill(group)
    assert destroy(group, 0, dead_letters=True) == [1, []]
    assert not client.exists(group.keys.dlq)


def test_nothing_goes_while_a_consumer_is_alive(group: Group, client: redis.Redis) -> None:
    fill(group)
    before = {key: client.dump(key) for key in client.keys("*") if key != group.keys.reclaim_lock}
    assert destroy(group, LONG, dead_letters=True) == [0, ["a"]]
    assert {key: client.dump(key) for key in before} == before
    assert client.exists(group.keys.reclaim_lock)


def test_parked_entries_are_nobodys(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read("a")
    group.park(id)
    group.retire("a")
    assert destroy(group, LONG) == [0, []]


def test_another_type_in_the_place_of_the_dead_letters(group: Group, client: redis.Redis) -> None:
    client.set(group.keys.dlq, "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        destroy(group, 0, dead_letters=True)
    assert group.consumers() == set()
    assert destroy(group, 0) == [0, []]


def test_it_works_when_memory_is_short(make_server: Callable[..., RedisServer]) -> None:
    with make_server().client() as client:
        group = Group(client)
        client.config_set("maxmemory", "1")
        assert destroy(group, 0) == [0, []]
