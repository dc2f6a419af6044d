"""retry_now.lua: try pending entries again now."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from tests.lua.support import PARKED, Group, add
from tests.servers import RedisServer


@pytest.fixture
def group(client: redis.Redis) -> Group:
    return Group(client)


def test_parked_entries_become_due(group: Group, client: redis.Redis) -> None:
    add(client, 10)
    ids = group.read()
    for id in ids:
        group.park(id, delay=60_000)
    assert group.due("b")[1] == []
    assert group.retry_now(*ids[:9]) == [1] * 9
    assert group.pending() == dict.fromkeys(ids, (PARKED, 1))
    assert sorted(id for id, _, _ in group.due("b")[1]) == ids[:9]


def test_stalled_entries_are_parked_and_running_ones_left_alone(
    group: Group, client: redis.Redis
) -> None:
    running, stalled = add(client, 2)
    group.read("a")
    group.age(stalled, 5000)
    assert group.retry_now(running, stalled, stalled_after=4000) == [0, 1]
    assert group.pending() == {running: ("a", 1), stalled: (PARKED, 1)}
    assert group.due("b")[1][0][2] == 2


def test_what_is_not_pending_or_gone_is_said(group: Group, client: redis.Redis) -> None:
    gone, also_gone, queued = add(client, 3)
    group.read("a", count=2)
    group.park(gone, delay=60_000)
    group.age(also_gone, 5000)
    client.xdel("jobs", gone, also_gone)
    assert group.retry_now(queued, gone, also_gone, "1-1") == [-1, -2, -2, -1]
    assert group.pending() == {}


def test_the_same_twice_is_harmless(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read()
    group.park(id, delay=60_000)
    assert group.retry_now(id, id) == [1, 1]
    assert len(group.due("b")[1]) == 1


def test_nothing_to_do(group: Group) -> None:
    assert group.retry_now() == []


def test_a_retry_set_of_another_type_is_refused(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read("a")
    client.set(group.keys.retry, "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        group.retry_now(id, stalled_after=0)
    assert group.pending() == {id: ("a", 1)}


def test_a_missing_group_is_said(group: Group, client: redis.Redis) -> None:
    client.xgroup_destroy("jobs", "g")
    with pytest.raises(redis.ResponseError, match="NOGROUP"):
        group.retry_now("1-1")


def test_it_works_when_memory_is_short(make_server: Callable[..., RedisServer]) -> None:
    with make_server().client() as client:
        group = Group(client)
        [id] = add(client)
        group.read("a")
        client.config_set("maxmemory", "1")
        assert group.retry_now(id, stalled_after=0) == [1]
