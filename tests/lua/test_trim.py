"""trim.lua and configure.lua: settled entries that are kept for a time, and no longer."""

from __future__ import annotations

import random
from typing import Any

import pytest
import redis

from streamq import lua
from streamq.wire.keys import RETAINED, stream_keys
from tests.lua.support import Group, add, add_at, ids_of, raw_entries, run, succeeded

KEYS = stream_keys("jobs")
LONG = 3_600_000


def configure(client: redis.Redis, **settings: int | None) -> Any:
    return run(client, lua.configure(KEYS, settings))


def trim(client: redis.Redis, most: int = 1000) -> Any:
    return run(client, lua.trim(KEYS, most))


def trim_all(client: redis.Redis, most: int = 1000) -> int:
    """Trim until nothing is left to do; how many were deleted."""
    deleted = 0
    while True:
        count, more = trim(client, most)
        deleted += int(count)
        if not more:
            return deleted


def place(client: redis.Redis) -> str | None:
    """How far the trimming has come."""
    groups: Any = client.xinfo_groups("jobs")
    return next((str(g["last-delivered-id"]) for g in groups if g["name"] == RETAINED), None)


def test_settled_entries_stay_until_they_are_too_old(client: redis.Redis) -> None:
    group = Group(client)
    configure(client, retain=LONG)
    ids = add(client, 5)
    group.read()
    group.settle("a", *map(succeeded, ids))
    assert trim_all(client) == 0
    assert ids_of(client) == ids
    configure(client, retain=0)
    assert trim_all(client) == 5
    assert ids_of(client) == []


def test_without_retention_nothing_is_done(client: redis.Redis) -> None:
    assert trim(client) is None
    group = Group(client)
    ids = add(client, 2)
    assert trim(client) is None
    group.read()
    group.settle("a", *map(succeeded, ids))
    assert ids_of(client) == []


def test_the_old_are_deleted_and_the_young_are_kept(client: redis.Redis) -> None:
    configure(client, retain=LONG)
    group = Group(client)
    add_at(client, [f"{n}-0" for n in range(1, 301)])
    young = add(client, 3)
    group.read()
    group.settle("a", *map(succeeded, ids_of(client)))
    assert trim_all(client, 100) == 300
    assert ids_of(client) == young


@pytest.mark.parametrize("most", [1, 99, 100, 250])
def test_a_bounded_step_at_a_call(client: redis.Redis, most: int) -> None:
    configure(client, retain=0)
    group = Group(client)
    ids = add(client, 1000)
    group.read()
    for start in range(0, 1000, 500):
        group.settle("a", *map(succeeded, ids[start : start + 500]))
    first, _ = trim(client, most)
    assert first <= max(most, 1000 if most < 100 else 0)  # less than a node cannot be trimmed
    assert first + trim_all(client, most) == 1000
    assert ids_of(client) == []


def test_what_a_group_has_not_settled_stays_and_goes_when_it_is(client: redis.Redis) -> None:
    configure(client, retain=0)
    fast, slow = Group(client, "fast"), Group(client, "slow")
    ids = add(client, 2000)
    fast.read("a", 2000)
    slow.read("b", 2000)
    held = {ids[3], ids[700], ids[1500]}
    for group, consumer, kept in ((fast, "a", set()), (slow, "b", held)):
        settled = [id for id in ids if id not in kept]
        for start in range(0, 2000, 500):
            group.settle(consumer, *map(succeeded, settled[start : start + 500]))
    assert trim_all(client) == 1997
    assert ids_of(client) == sorted(held)
    slow.settle("b", *map(succeeded, held))
    assert ids_of(client) == [], "the settling script deletes what is behind the trimming"


def test_a_group_that_has_read_nothing_keeps_all(client: redis.Redis) -> None:
    configure(client, retain=0)
    group, later = Group(client), Group(client, "later")
    ids = add(client, 10)
    group.read()
    group.settle("a", *map(succeeded, ids))
    assert trim_all(client) == 0
    assert later.read() == ids


def test_without_a_group_nothing_is_settled(client: redis.Redis) -> None:
    configure(client, retain=0)
    ids = add(client, 3)
    assert trim(client) == [0, 0]
    assert run(client, lua.prune("jobs", "-", 100)) == [0, ""]
    assert ids_of(client) == ids


def test_a_group_for_the_past_gets_what_is_kept(client: redis.Redis) -> None:
    configure(client, retain=LONG)
    group = Group(client)
    ids = add(client, 4)
    group.read()
    group.settle("a", *map(succeeded, ids))
    assert Group(client, "later").read() == ids


def test_retention_that_is_taken_away(client: redis.Redis) -> None:
    group = Group(client)
    assert configure(client, retain=LONG) == [""]
    assert configure(client, retain=5) == [str(LONG)]
    ids = add(client, 2)
    group.read()
    group.settle("a", succeeded(ids[0]))
    assert configure(client, retain=None) == ["5"]
    assert place(client) is None
    assert not client.exists(KEYS.settings)
    assert trim(client) is None
    assert run(client, lua.prune("jobs", "-", 100)) == [1, ""]
    assert ids_of(client) == ids[1:]


def test_a_place_that_another_program_deleted_is_made_again(client: redis.Redis) -> None:
    configure(client, retain=LONG)
    Group(client)
    client.xgroup_destroy("jobs", RETAINED)
    assert trim(client) == [0, 0]
    assert place(client) is not None


def test_a_clock_that_was_set_back_moves_nothing_back(client: redis.Redis) -> None:
    configure(client, retain=0)
    Group(client)
    add(client)
    trim_all(client)
    before = place(client)
    configure(client, retain=LONG)
    assert trim(client) == [0, 0]
    assert place(client) == before


def test_a_key_of_another_type(client: redis.Redis) -> None:
    client.set("jobs", "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        configure(client, retain=1)
    assert not client.exists(KEYS.settings)
    client.delete("jobs")
    client.set(KEYS.settings, "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        configure(client, retain=1)
    assert not client.exists("jobs")


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_ever_trimmed_while_a_group_has_not_settled_it(
    client: redis.Redis, seed: int
) -> None:
    """Random steps, against a model: for each group what it has still to settle."""
    rng = random.Random(seed)
    configure(client, retain=0)
    groups = {name: Group(client, name) for name in ("one", "two", "three")}
    queued: dict[str, list[str]] = {name: [] for name in groups}
    held: dict[str, list[str]] = {name: [] for name in groups}
    for _ in range(150):
        step, name = rng.randrange(5), rng.choice(list(groups))
        if step == 0:
            for id in add(client, rng.randrange(1, 40)):
                for waiting in queued.values():
                    waiting.append(id)
        elif step == 1:
            got = groups[name].read("c", rng.randrange(1, 60))
            assert got == queued[name][: len(got)], "in order, and none is missing"
            del queued[name][: len(got)]
            held[name] += got
        elif step == 2 and held[name]:
            some = rng.sample(held[name], rng.randrange(1, len(held[name]) + 1))
            assert groups[name].settle("c", *map(succeeded, some[:500])) == {}
            held[name] = [id for id in held[name] if id not in some[:500]]
        else:
            trim(client, rng.choice([1, 100, 1000]))
        unsettled = {id for left in (queued, held) for ids in left.values() for id in ids}
        assert unsettled <= set(ids_of(client))
    for name, group in groups.items():
        held[name] += group.read("c", 100_000)
        for start in range(0, len(held[name]), 500):
            group.settle("c", *map(succeeded, held[name][start : start + 500]))
    trim_all(client)
    assert raw_entries(client, "jobs") == []
