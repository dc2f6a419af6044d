"""extend.lua: renew leases, and say which are lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from tests.lua.support import AWKWARD, SIZES, Group, add, add_at, failed, succeeded
from tests.servers import RedisServer

LONG = 50_000


@pytest.fixture
def group(client: redis.Redis) -> Group:
    return Group(client)


@pytest.mark.parametrize("size", [1, 7, 8, 9, 250, 500])
def test_leases_are_renewed_and_nothing_else(group: Group, client: redis.Redis, size: int) -> None:
    add(client, size)
    ids = group.read("a")
    for id in ids:
        group.age(id, LONG)
    before = group.pending()
    assert group.extend("a", *((id, 1) for id in ids)) == [[], []]
    assert group.pending() == before
    assert max(map(group.idle, (ids[0], ids[-1]))) < LONG


def test_only_the_entries_asked_for_are_renewed(group: Group, client: redis.Redis) -> None:
    add(client, 20)
    ids = group.read("a")
    for id in ids:
        group.age(id, LONG)
    group.extend("a", *((id, 1) for id in ids[::2]))
    assert all(group.idle(id) < LONG for id in ids[::2])
    assert all(group.idle(id) >= LONG for id in ids[1::2])


@pytest.mark.parametrize("size", SIZES)
def test_leases_of_others_are_lost_and_left_alone(
    group: Group, client: redis.Redis, size: int
) -> None:
    add(client, size)
    ids = group.read("b")
    group.age(ids[0], LONG)
    before = group.pending()
    assert group.extend("a", *((id, 1) for id in ids)) == [ids, []]
    assert group.pending() == before
    assert group.idle(ids[0]) >= LONG


def test_every_way_to_lose_one(group: Group, client: redis.Redis) -> None:
    add(client, 10)
    kept, taken, later, settled, parked, deleted, *more = group.read("a")
    group.take_by_hand(taken, "b")
    group.take_by_hand(later, "a")
    group.settle("a", succeeded(settled), failed(parked, delay=60_000))
    client.xdel("jobs", deleted)
    group.age(kept, LONG)
    asked = [kept, taken, later, settled, parked, deleted, *more, "1-1"]
    lost, gone = group.extend("a", *((id, 1) for id in asked))
    assert sorted(lost) == sorted([taken, later, settled, parked, "1-1"])
    assert gone == [deleted]
    assert group.idle(kept) < LONG
    assert group.pending()[later] == ("a", 2)
    # The server drops a deleted entry when it is claimed.
    assert deleted not in group.pending()


def test_ids_of_different_lengths(group: Group, client: redis.Redis) -> None:
    ids = [*AWKWARD, "100-100", "101-0", "1000-1"]
    add_at(client, ids)
    group.read("a")
    assert group.extend("a", *((id, 1) for id in reversed(ids))) == [[], []]
    assert group.extend("a", *((id, 2) for id in ids)) == [ids, []]


def test_nothing_to_renew(group: Group) -> None:
    assert group.extend("a") == [[], []]


def test_a_missing_group_is_said(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    client.xgroup_destroy("jobs", "g")
    with pytest.raises(redis.ResponseError, match="NOGROUP"):
        group.extend("a", (id, 1))


def test_a_key_of_another_type_is_refused(group: Group, client: redis.Redis) -> None:
    client.delete("jobs")
    client.set("jobs", "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        group.extend("a", ("1-1", 1))


def test_leases_are_renewed_when_memory_is_short(make_server: Callable[..., RedisServer]) -> None:
    with make_server().client() as client:
        group = Group(client)
        [id] = add(client)
        group.read("a")
        client.config_set("maxmemory", "1")
        assert group.extend("a", (id, 1)) == [[], []]
