"""rewind.lua, replay.lua and count.lua: what a group has settled, once more."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from streamq import lua
from streamq.wire.keys import stream_keys
from tests.lua.support import AWKWARD, Group, add, add_at, raw_entries, run, succeeded, write

LONG = 3_600_000


def rewind(
    client: redis.Redis, group: Group, to: str, *, entries_read: int = -1, silence: int = 0,
    force: bool = False,
) -> Any:  # fmt: skip
    return run(client, lua.rewind(group.keys, to, entries_read, silence, force=force))


def replay(client: redis.Redis, group: Group, *ids: str) -> Any:
    return run(client, lua.replay(group.keys, ids))


@pytest.fixture
def group(client: redis.Redis) -> Group:
    """On a stream that retains."""
    run(client, lua.configure(stream_keys("jobs"), {"retain": LONG}))
    return Group(client)


def settle(group: Group, *ids: str) -> None:
    assert group.settle("a", *map(succeeded, ids)) == {}


def test_a_group_gets_once_more_what_comes_after_its_new_place(
    client: redis.Redis, group: Group
) -> None:
    ids = add(client, 5)
    group.read()
    settle(group, *ids)
    assert rewind(client, group, ids[1], entries_read=2) == ["done", 0]
    [info] = [g for g in client.xinfo_groups("jobs") if g["name"] == "g"]
    assert info["lag"] == 3
    assert group.read() == ids[2:]
    assert rewind(client, group, "0-0", force=True) == ["done", 3]
    assert group.read() == ids


def test_pending_jobs_are_given_once(client: redis.Redis, group: Group) -> None:
    ids = add(client, 4)
    group.read()
    group.park(ids[0])
    group.park(ids[3])
    settle(group, ids[1])
    assert rewind(client, group, ids[0]) == ["pending", 3]
    assert rewind(client, group, ids[0], force=True) == ["done", 2]
    assert set(group.pending()) == set(group.parked()) == {ids[0]}, "before the place, it stays"
    assert group.read("b") == ids[1:]
    assert [id for id, _, _ in group.due("b")[1]] == ids[:1]
    assert group.settle("a", succeeded(ids[2])) == {ids[2]: "=b"}


def test_it_is_refused_while_a_consumer_lives_or_the_place_is_ahead(
    client: redis.Redis, group: Group
) -> None:
    ids = add(client, 3)
    group.read("a", 2)
    settle(group, *ids[:2])
    assert rewind(client, group, "0-0", silence=LONG) == ["alive", "a"]
    assert rewind(client, group, "0-0", silence=LONG, force=True) == ["done", 0]
    assert rewind(client, group, ids[2], force=True) == ["ahead", "0-0"]
    client.xgroup_destroy("jobs", "g")
    assert rewind(client, group, "0-0") == ["gone"]


def test_a_replay_is_a_new_entry_for_one_group(client: redis.Redis, group: Group) -> None:
    plain = write(client, "type", "t", "data", "{}", "key", "k")
    foreign = write(client, "type", "t", "file", "a.png")
    marked = write(client, "type", "t", "data", "{}", "for", "other", "origin", "1-1")
    group.read()
    settle(group, plain, foreign, marked)
    new = replay(client, group, plain, foreign, marked, "9-9")
    assert new[3] == ""
    written = dict(raw_entries(client, "jobs"))
    assert dict(written[new[0]]) == {
        "type": "t", "data": "{}", "key": "k", "for": "g", "origin": plain,
    }  # fmt: skip
    assert dict(written[new[1]]) == {
        "type": "t", "data": '{"file":"a.png"}', "for": "g", "origin": foreign,
    }  # fmt: skip
    assert dict(written[new[2]]) == {"type": "t", "data": "{}", "for": "g", "origin": "1-1"}


def test_what_is_not_settled_is_not_replayed(client: redis.Redis, group: Group) -> None:
    ids = add(client, 2)
    group.read("a", 1)
    assert replay(client, group, *ids) == ["!pending", "!queued"]
    assert len(raw_entries(client, "jobs")) == 2
    client.xgroup_destroy("jobs", "g")
    assert replay(client, group, *ids) is None


@pytest.mark.parametrize("most", [0, 1, 5, 6])
def test_counting(client: redis.Redis, most: int) -> None:
    add_at(client, AWKWARD[:most])
    assert run(client, lua.count("jobs", "-", "+")) == [most, ""]
    assert run(client, lua.count("jobs", "(5-9", AWKWARD[2])) == [min(max(most - 1, 0), 2), ""]


def test_counting_step_by_step(client: redis.Redis) -> None:
    add(client, 5600)
    counted, start = run(client, lua.count("jobs", "-", "+"))
    assert counted == 5000
    assert run(client, lua.count("jobs", start, "+")) == [600, ""]
