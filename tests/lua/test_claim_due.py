"""claim_due.lua: parked entries whose time has come, for whoever asks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from tests.lua.support import PARKED, SIZES, Group, add, failed, succeeded
from tests.servers import RedisServer

FIELDS = ["type", "t", "data", '{"n":0}']


@pytest.fixture
def group(client: redis.Redis) -> Group:
    return Group(client)


def test_nothing_is_parked(group: Group) -> None:
    assert group.due("a") == [-1, [], []]


def test_nothing_is_due_yet(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read()
    group.park(id, delay=60_000)
    wait, claimed, deleted = group.due("b")
    assert 50_000 < wait <= 60_000
    assert (claimed, deleted) == ([], [])
    assert group.pending() == {id: (PARKED, 1)}


@pytest.mark.parametrize("size", SIZES)
def test_what_is_due_is_claimed_and_counted(group: Group, client: redis.Redis, size: int) -> None:
    add(client, size)
    ids = group.read("a")
    group.settle("a", *map(failed, ids))
    wait, claimed, deleted = group.due("b", most=size)
    assert (wait, deleted) == (-1, [])
    assert {id: count for id, _, count in claimed} == dict.fromkeys(ids, 2)
    assert {id: fields for id, fields, _ in claimed}[ids[0]] == FIELDS
    assert group.pending() == dict.fromkeys(ids, ("b", 2))
    assert group.parked() == {}


def test_the_earliest_come_first_and_no_more_than_asked_for(
    group: Group, client: redis.Redis
) -> None:
    add(client, 6)
    ids = group.read()
    group.settle("a", *map(failed, ids))
    due = {id: n for n, id in enumerate(reversed(ids))}
    client.zadd(group.keys.retry, due)
    wait, claimed, _ = group.due("b", most=4)
    assert wait == 0
    assert [id for id, _, _ in claimed] == ids[:1:-1]
    assert group.pending()[ids[0]] == (PARKED, 1)
    _, claimed, _ = group.due("b")
    assert [id for id, _, _ in claimed] == [ids[1], ids[0]]


def test_each_delivery_counts(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read()
    for count in range(1, 20):
        assert group.settle("a", failed(id, count)) == {}
        _, [[_, _, next_count]], _ = group.due("a")
        assert next_count == count + 1
    assert group.settle("a", succeeded(id, 20)) == {}


def test_what_was_deleted_is_reported_and_forgotten(group: Group, client: redis.Redis) -> None:
    gone, kept = add(client, 2)
    group.read()
    group.settle("a", failed(gone), failed(kept))
    client.xdel("jobs", gone)
    _, [[claimed, _, _]], deleted = group.due("b")
    assert (claimed, deleted) == (kept, [gone])
    assert list(group.pending()) == [kept]
    assert group.parked() == {}


def test_what_was_taken_by_hand_stays_with_its_taker(group: Group, client: redis.Redis) -> None:
    taken, acked = add(client, 2)
    group.read()
    group.settle("a", failed(taken), failed(acked))
    group.take_by_hand(taken, "me")
    client.xack("jobs", "g", acked)
    assert group.due("b") == [-1, [], []]
    assert group.pending() == {taken: ("me", 2)}
    assert group.parked() == {}


@pytest.mark.parametrize("garbage", ["x", "", "1-", "\x00", "-", "+", "(1-1"])
def test_what_is_no_entry_id_is_no_obstacle(
    group: Group, client: redis.Redis, garbage: str
) -> None:
    """Somebody has written into the retry set by hand."""
    [id] = add(client)
    group.read()
    group.park(id)
    client.zadd(group.keys.retry, {garbage: 1})
    _, claimed, deleted = group.due("b")
    assert ([id for id, _, _ in claimed], deleted) == ([id], [])
    assert group.parked() == {}


def test_two_workers_do_not_get_the_same(group: Group, client: redis.Redis) -> None:
    add(client, 10)
    ids = group.read()
    group.settle("a", *map(failed, ids))
    _, first, _ = group.due("b", most=5)
    _, second, _ = group.due("c", most=50)
    assert sorted(id for id, _, _ in [*first, *second]) == sorted(ids)


@pytest.mark.parametrize("key", ["stream", "retry"])
def test_a_key_of_another_type_is_refused(group: Group, client: redis.Redis, key: str) -> None:
    [id] = add(client)
    group.read()
    group.park(id)
    name = getattr(group.keys, key)
    client.delete(name)
    client.set(name, "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        group.due("b")
    if key == "retry":
        assert group.pending() == {id: (PARKED, 1)}
    else:
        assert list(group.parked()) == [id]


def test_a_missing_group_is_said(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read()
    group.park(id)
    client.xgroup_destroy("jobs", "g")
    with pytest.raises(redis.ResponseError, match="NOGROUP"):
        group.due("b")


def test_it_works_when_memory_is_short(make_server: Callable[..., RedisServer]) -> None:
    with make_server().client() as client:
        group = Group(client)
        [id] = add(client)
        group.read()
        group.park(id)
        client.config_set("maxmemory", "1")
        _, [[claimed, _, _]], _ = group.due("b")
        assert claimed == id
