"""release.lua: give back what a consumer holds and has not begun."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from tests.lua.support import PARKED, SIZES, Group, add, ids_of
from tests.servers import RedisServer


@pytest.fixture
def group(client: redis.Redis) -> Group:
    return Group(client)


@pytest.mark.parametrize("size", SIZES)
def test_deliveries_are_given_back_uncounted(group: Group, client: redis.Redis, size: int) -> None:
    add(client, size)
    ids = group.read("a")
    assert group.release("a", most=size) == [size, size]
    assert group.pending() == dict.fromkeys(ids, (PARKED, 0))
    wait, claimed, _ = group.due("b", most=size)
    assert wait == -1
    assert {id: count for id, _, count in claimed} == dict.fromkeys(ids, 1)


def test_nothing_is_held(group: Group, client: redis.Redis) -> None:
    add(client)
    group.read("b")
    assert group.release("a") == [0, 0]


def test_others_keep_theirs(group: Group, client: redis.Redis) -> None:
    first, second = add(client, 2)
    group.read("a", count=1)
    group.read("b", count=1)
    assert group.release("a") == [1, 1]
    assert group.pending() == {first: (PARKED, 0), second: ("b", 1)}


def test_known_entries_are_left_alone(group: Group, client: redis.Redis) -> None:
    add(client, 4)
    ids = group.read("a")
    assert group.release("a", known=ids[1:3]) == [2, 4]
    assert group.pending() == {
        ids[0]: (PARKED, 0), ids[1]: ("a", 1), ids[2]: ("a", 1), ids[3]: (PARKED, 0),
    }  # fmt: skip


def test_a_later_delivery_goes_back_to_the_one_before(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read("a")
    group.park(id)
    group.due("a")
    assert group.pending() == {id: ("a", 2)}
    assert group.release("a") == [1, 1]
    assert group.pending() == {id: (PARKED, 1)}
    assert group.due("a")[1][0][2] == 2


def test_no_more_than_asked_for(group: Group, client: redis.Redis) -> None:
    add(client, 5)
    ids = group.read("a")
    assert group.release("a", most=2) == [2, 2]
    assert list(group.parked()) == ids[:2]
    assert group.release("a", most=3) == [3, 3]
    assert group.release("a", most=3) == [0, 0]


def test_a_deleted_entry_is_dropped(group: Group, client: redis.Redis) -> None:
    gone, kept = add(client, 2)
    group.read("a")
    client.xdel("jobs", gone)
    assert group.release("a") == [1, 2]
    assert group.pending() == {kept: (PARKED, 0)}
    assert list(group.parked()) == [kept]


def test_a_retry_set_of_another_type_is_refused(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read("a")
    client.set(group.keys.retry, "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        group.release("a")
    assert group.pending() == {id: ("a", 1)}


def test_a_missing_group_is_said(group: Group, client: redis.Redis) -> None:
    client.xgroup_destroy("jobs", "g")
    with pytest.raises(redis.ResponseError, match="NOGROUP"):
        group.release("a")


def test_it_works_when_memory_is_short(make_server: Callable[..., RedisServer]) -> None:
    with make_server().client() as client:
        group = Group(client)
        ids = add(client, 3)
        group.read("a")
        client.config_set("maxmemory", "1")
        assert group.release("a") == [3, 3]
        assert ids_of(client) == ids
