"""to_dead_letters.lua: to the dead letters by hand, whoever holds the entry."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from tests.lua.support import PARKED, Group, add, ids_of, succeeded, types_left
from tests.servers import RedisServer


@pytest.fixture
def group(client: redis.Redis) -> Group:
    return Group(client)


@pytest.mark.parametrize("size", [1, 8, 100])
def test_running_and_parked_entries_die(group: Group, client: redis.Redis, size: int) -> None:
    add(client, 2 * size)
    ids = group.read("a")
    for id in ids[:size]:
        group.park(id, delay=60_000)
    assert group.to_dead_letters(*ids) == [1] * 2 * size
    assert group.pending() == {}
    assert types_left(client) == {"jobs": "stream", group.keys.dlq: "stream"}
    assert ids_of(client) == []
    letters = [dict(fields) for _, fields in group.letters()]
    assert [letter["id"] for letter in letters] == ids
    assert letters[0]["error"] == "by me; last error: oops"
    assert letters[0]["consumer"] == PARKED
    assert letters[-1]["error"] == "by me"
    assert letters[-1]["consumer"] == "a"
    assert {letter["reason"] for letter in letters} == {"by hand"}


def test_the_holder_is_refused_then(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read("a")
    group.to_dead_letters(id)
    assert group.settle("a", succeeded(id)) == {id: ""}
    assert len(group.letters()) == 1


def test_what_is_not_pending_is_said(group: Group, client: redis.Redis) -> None:
    queued, held = add(client, 2)
    other = Group(client, "other")
    other.read("a")
    assert group.to_dead_letters(queued, held, "1-1") == [-1, -1, -1]
    assert group.letters() == []
    assert ids_of(client) == [queued, held]
    assert other.pending().keys() == {queued, held}


def test_other_groups_keep_the_entry(group: Group, client: redis.Redis) -> None:
    Group(client, "other")
    [id] = add(client)
    group.read("a")
    assert group.to_dead_letters(id) == [1]
    assert ids_of(client) == [id]


def test_the_same_twice_dies_once(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read("a")
    assert group.to_dead_letters(id, id) == [1, -1]
    assert len(group.letters()) == 1


def test_a_deleted_entry_leaves_a_letter_without_data(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read("a")
    client.xdel("jobs", id)
    assert group.to_dead_letters(id) == [1]
    [(letter, fields)] = group.letters()
    assert len(fields) == 5
    assert group.redrive(letter) == ["!empty"]


@pytest.mark.parametrize("key", ["retry", "dlq"])
def test_wrong_key_types_are_refused(group: Group, client: redis.Redis, key: str) -> None:
    [id] = add(client)
    group.read("a")
    client.set(getattr(group.keys, key), "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        group.to_dead_letters(id)
    assert group.pending() == {id: ("a", 1)}
    assert ids_of(client) == [id]


def test_a_record_of_the_wrong_type_is_no_obstacle(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read("a")
    client.set(group.keys.job(id), "x")
    assert group.to_dead_letters(id) == [1]
    assert not client.exists(group.keys.job(id))


def test_a_missing_group_is_said(group: Group, client: redis.Redis) -> None:
    client.xgroup_destroy("jobs", "g")
    with pytest.raises(redis.ResponseError, match="NOGROUP"):
        group.to_dead_letters("1-1")


def test_it_works_when_memory_is_short(make_server: Callable[..., RedisServer]) -> None:
    with make_server().client() as client:
        group = Group(client)
        [id] = add(client)
        group.read("a")
        client.config_set("maxmemory", "1")
        assert group.to_dead_letters(id) == [1]
