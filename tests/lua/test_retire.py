"""retire.lua: remove a consumer, but never with what it holds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from tests.lua.support import Group, add, succeeded
from tests.servers import RedisServer


@pytest.fixture
def group(client: redis.Redis) -> Group:
    return Group(client)


def test_a_consumer_that_holds_nothing_goes(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read("a")
    group.settle("a", succeeded(id))
    group.reclaim("a", pause=60_000)
    assert group.retire("a") == 1
    assert group.consumers() == set()
    assert not client.exists(group.keys.reclaim_lock)


def test_a_consumer_that_holds_something_stays(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read("a")
    assert group.retire("a") == 0
    assert group.pending() == {id: ("a", 1)}


def test_others_stay(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read("b")
    client.xgroup_createconsumer("jobs", "g", "a")
    assert group.retire("a") == 1
    assert group.pending() == {id: ("b", 1)}


def test_an_unknown_consumer_is_gone_already(group: Group) -> None:
    assert group.retire("nobody") == 1
    assert group.consumers() == set()


def test_a_missing_group_is_said(group: Group, client: redis.Redis) -> None:
    client.delete("jobs")
    with pytest.raises(redis.ResponseError, match="NOGROUP"):
        group.retire("a")


def test_it_works_when_memory_is_short(make_server: Callable[..., RedisServer]) -> None:
    with make_server().client() as client:
        group = Group(client)
        client.xgroup_createconsumer("jobs", "g", "a")
        client.config_set("maxmemory", "1")
        assert group.retire("a") == 1
