"""set_state.lua: what an operator says of a group is kept, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from streamq import lua
from tests.lua.support import Group, run, types_left


@pytest.fixture
def group(client: redis.Redis) -> Group:
    return Group(client)


def set_state(group: Group, **fields: str) -> int:
    named = {name.replace("__", ":"): value for name, value in fields.items()}
    return int(run(group.client, lua.set_state(group.keys, named)))


def state(group: Group) -> dict[str, str]:
    found: Any = group.client.hgetall(group.keys.state)
    return dict(found)


def test_what_is_new_other_or_gone_is_counted(group: Group) -> None:
    assert set_state(group, limit__rate='"5/s"', limit__order="true") == 2
    assert set_state(group, limit__rate='"5/s"', limit__order="false") == 1
    assert state(group) == {"limit:rate": '"5/s"', "limit:order": "false"}
    assert set_state(group, limit__rate="", limit__order="") == 2
    assert set_state(group, limit__rate="") == 0
    assert group.keys.state not in types_left(group.client)


def test_a_pause_keeps_its_first_time(group: Group) -> None:
    before = group.client.time()
    assert set_state(group, paused="now") == 1
    since = state(group)["paused"]
    assert before[0] * 1000 <= int(since) <= (group.client.time()[0] + 1) * 1000
    group.client.hset(group.keys.state, "paused", "7")
    assert set_state(group, paused="now", paused__news="now") == 1
    assert state(group)["paused"] == "7"
    assert set_state(group, paused="") == 1
    assert list(state(group)) == ["paused:news"]


@pytest.mark.parametrize("type", ["now", "", ":", "a b", "\x00", "ключ", "x" * 100_000])
def test_any_type_can_be_paused(group: Group, type: str) -> None:
    call = lua.set_state(group.keys, {f"paused:{type}": "now"})
    assert run(group.client, call) == 1
    assert list(state(group)) == [f"paused:{type}"]


def test_a_missing_group_is_said_before_anything_is_written(group: Group) -> None:
    group.client.xgroup_destroy("jobs", "g")
    with pytest.raises(redis.ResponseError, match="NOGROUP"):
        set_state(group, paused="now")
    group.client.delete("jobs")
    with pytest.raises(redis.ResponseError, match="NOGROUP"):
        set_state(group, paused="now")
    assert types_left(group.client) == {}


def test_a_key_of_another_type_is_refused(group: Group) -> None:
    group.client.set(group.keys.state, "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        set_state(group, paused="now")
    assert group.client.get(group.keys.state) == "x"


def test_who_may_not_is_told_before_anything_is_written(group: Group) -> None:
    client = group.client
    client.acl_setuser("reader", enabled=True, passwords=["+p"], keys=["*"],
                       commands=["+@all", "-hdel"])  # fmt: skip
    try:
        kwargs = {**client.connection_pool.connection_kwargs, "username": "reader", "password": "p"}
        with (
            redis.Redis(
                connection_pool=redis.ConnectionPool(
                    connection_class=client.connection_pool.connection_class, **kwargs
                )
            ) as reader,
            pytest.raises(redis.ResponseError, match=r"streamq needs .*hdel"),
        ):
            run(reader, lua.set_state(group.keys, {"paused": "now"}))
    finally:
        client.acl_deluser("reader")
    assert state(group) == {}
