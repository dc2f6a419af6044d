"""outcomes.lua: what has become of jobs, for those who wait."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from streamq import lua
from streamq.wire.keys import group_keys
from tests.lua.support import Group, add, add_at, dead, failed, recorded, run, succeeded, write


@pytest.fixture
def group(client: redis.Redis) -> Group:
    return Group(client)


def outcomes(group: Group, *ids: str) -> Any:
    return run(group.client, lua.outcomes(group.keys, ids))


def test_each_state(group: Group, client: redis.Redis) -> None:
    done, nothing, expired, gone, parked, running = add(client, 6)
    group.read()
    [queued] = add(client)
    group.settle(
        "a", recorded(done, result="[1]"), recorded(nothing, note="too large"),
        recorded(expired, state="expired"), succeeded(gone), failed(parked), ttl=60_000,
    )  # fmt: skip
    ids = (done, nothing, expired, gone, parked, running, queued)
    assert outcomes(group, *ids) == [
        ["succeeded", "[1]", ""], ["succeeded", "", "too large"], ["expired", "", ""],
        ["settled"], ["waiting", ""], ["waiting", ""], ["waiting", ""],
    ]  # fmt: skip


def test_a_dead_one_is_settled_without_a_record(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read()
    group.settle("a", dead(id), ttl=60_000)
    assert outcomes(group, id) == [["settled"]]


def test_the_progress_of_the_delivery_at_hand(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read()
    told = {"progress": "0.4", "progress_note": "half", "progress_of": "1"}
    client.hset(group.keys.job(id), mapping=told)  # type: ignore[arg-type]  # redis-py's
    assert outcomes(group, id) == [["waiting", "0.4", "half"]]
    group.take_by_hand(id, "b")
    assert outcomes(group, id) == [["waiting", ""]]


def test_one_for_another_group(group: Group, client: redis.Redis) -> None:
    id = write(client, "type", "t", "data", "{}", "for", "audit")
    foreign = write(client, "type", "t", "for", "audit")
    assert outcomes(group, id, foreign) == [["elsewhere", "audit"], ["waiting", ""]]


def test_none_at_all(group: Group, client: redis.Redis) -> None:
    add_at(client, ["5-5"])
    group.read()
    assert outcomes(group, "6-1", "5-4") == [["missing", ""], ["settled"]]


def test_without_the_group_or_the_stream(client: redis.Redis) -> None:
    keys = group_keys("jobs", "new")
    assert run(client, lua.outcomes(keys, ["1-1"])) == [["missing", "no group"]]
    [id] = add(client)
    assert run(client, lua.outcomes(keys, [id])) == [["waiting", "no group"]]
    assert run(client, lua.outcomes(keys, [])) == []


def test_a_record_of_another_type_is_none(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    client.set(group.keys.job(id), "x")
    assert outcomes(group, id) == [["waiting", ""]]
