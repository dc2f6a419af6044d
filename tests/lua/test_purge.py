"""purge.lua: delete dead letters."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from streamq import lua
from tests.lua.support import Group, add, run
from tests.servers import RedisServer


@pytest.fixture
def group(client: redis.Redis) -> Group:
    return Group(client)


def letters(group: Group, count: int) -> list[str]:
    ids = add(group.client, count)
    group.read("a")
    group.to_dead_letters(*ids)
    return [id for id, _ in group.letters()]


def test_those_named_go(group: Group, client: redis.Redis) -> None:
    first, second, third = letters(group, 3)
    assert run(client, lua.purge(group.keys.dlq, [third, "1-1", first, first])) == [1, 0, 1, 0]
    assert [id for id, _ in group.letters()] == [second]


def test_the_last_one_takes_the_key_along(group: Group, client: redis.Redis) -> None:
    run(client, lua.purge(group.keys.dlq, letters(group, 2)))
    assert client.keys("*") == ["jobs"]


def test_no_dead_letters(group: Group, client: redis.Redis) -> None:
    assert run(client, lua.purge(group.keys.dlq, ["1-1"])) == [0]


def test_another_type_is_left_alone(group: Group, client: redis.Redis) -> None:
    client.set(group.keys.dlq, "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        run(client, lua.purge(group.keys.dlq, ["1-1"]))
    assert client.get(group.keys.dlq) == "x"


def test_it_works_when_memory_is_short(make_server: Callable[..., RedisServer]) -> None:
    with make_server().client() as client:
        group = Group(client)
        found = letters(group, 1)
        client.config_set("maxmemory", "1")
        assert run(client, lua.purge(group.keys.dlq, found)) == [1]
