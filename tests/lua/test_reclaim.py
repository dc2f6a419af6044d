"""reclaim.lua: take over what stalled; what has used up its deliveries is a dead letter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from streamq import lua
from streamq.flow.rules import Rules
from tests.lua.support import (
    AWKWARD,
    PARKED,
    Group,
    add,
    add_at,
    failed,
    ids_of,
    run,
    succeeded,
    write,
)
from tests.servers import RedisServer

LEASE = 10_000
STALLED = 20_000


@pytest.fixture
def group(client: redis.Redis) -> Group:
    return Group(client)


def reclaim(group: Group, consumer: str = "b", most: int = 100, **options: Any) -> Any:
    """One reclaim, whatever the last one was."""
    group.client.delete(group.keys.reclaim_lock)
    return group.reclaim(consumer, most, lease=LEASE, pause=60_000, **options)


def test_nothing_is_pending(group: Group) -> None:
    assert reclaim(group) == [[], [], [], [], 0, "-", []]


@pytest.mark.parametrize("size", [1, 7, 8, 100])
def test_stalled_entries_are_claimed_and_counted(
    group: Group, client: redis.Redis, size: int
) -> None:
    add(client, size)
    ids = group.read("a")
    for id in ids:
        group.age(id, STALLED)
    claimed, dead, deleted, removed, *_ = reclaim(group)
    assert [(id, count) for id, _, count in claimed] == [(id, 2) for id in ids]
    assert claimed[0][1] == ["type", "t", "data", '{"n":0}']
    assert (dead, deleted, removed) == ([], [], [])
    assert group.pending() == dict.fromkeys(ids, ("b", 2))
    assert max(map(group.idle, ids)) < LEASE


def test_live_leases_and_parked_entries_are_left_alone(group: Group, client: redis.Redis) -> None:
    live, stalled, parked = add(client, 3)
    group.read("a")
    group.park(parked, delay=60_000)
    group.age(parked, STALLED)
    group.age(stalled, STALLED)
    group.age(live, LEASE - 5_000)
    [[claimed, _, _]], *_ = reclaim(group)
    assert claimed == stalled
    assert group.pending() == {live: ("a", 1), stalled: ("b", 2), parked: (PARKED, 1)}


def test_a_deleted_entry_is_reported_and_no_other_claimed_for_it(
    group: Group, client: redis.Redis
) -> None:
    """Not even where the next ones are stalled as well, or parked."""
    gone, parked, stalled, also_gone = add(client, 4)
    group.read("a")
    group.park(parked, delay=60_000)
    for id in (gone, parked, stalled, also_gone):
        group.age(id, STALLED)
    client.xdel("jobs", gone, also_gone)
    claimed, dead, deleted, *_ = reclaim(group)
    assert [(id, count) for id, _, count in claimed] == [(stalled, 2)]
    assert (dead, deleted) == ([], [gone, also_gone])
    assert group.pending() == {parked: (PARKED, 1), stalled: ("b", 2)}


def test_used_up_deliveries_mean_death(group: Group, client: redis.Redis) -> None:
    other = Group(client, "other")
    spent, fresh = add(client, 2)
    group.read("a")
    other.read("a")
    other.settle("a", succeeded(spent))
    client.hset(group.keys.job(spent), "error", "oops")
    for _ in range(3):
        group.take_by_hand(spent, "a")
    group.age(spent, STALLED)
    group.age(fresh, STALLED)
    claimed, dead, deleted, *_ = reclaim(group, deliveries=4)
    assert [id for id, _, _ in claimed] == [fresh]
    assert (dead, deleted) == ([spent, 4, "t"], [])
    [(_, fields)] = group.letters()
    assert fields[0] == ("id", spent)
    assert fields[1] == ("reason", "worker lost")
    assert "delivery 4" in fields[2][1]
    assert fields[3:5] == [("attempts", "4"), ("consumer", "a")]
    assert fields[5:] == [("type", "t"), ("data", '{"n":0}')]
    assert group.pending() == {fresh: ("b", 2)}
    assert ids_of(client) == [fresh]


def test_a_buried_entry_stays_for_other_groups(group: Group, client: redis.Redis) -> None:
    other = Group(client, "other")
    [id] = add(client)
    group.read("a")
    group.age(id, STALLED)
    assert reclaim(group, deliveries=1)[1] == [id, 1, "t"]
    assert ids_of(client) == [id]
    assert other.read() == [id]


def test_a_deleted_entry_is_not_buried(group: Group, client: redis.Redis) -> None:
    [gone] = add(client)
    group.read("a")
    group.age(gone, STALLED)
    client.xdel("jobs", gone)
    assert reclaim(group, deliveries=1)[:3] == [[], [], [gone]]
    assert group.letters() == []
    assert group.pending() == {}


def test_deliveries_by_type(group: Group, client: redis.Redis) -> None:
    once, often, other, foreign = (
        write(client, *fields)
        for fields in (("type", "once"), ("type", "often"), ("x", "1"), ("type", ""))
    )
    group.read("a")
    for id in (once, often, other, foreign):
        group.take_by_hand(id, "a")
        group.age(id, STALLED)
    claimed, dead, *_ = reclaim(group, deliveries=2, by_type={"once": 1, "often": 9})
    assert [id for id, _, _ in claimed] == [often]
    assert dead == [once, 2, "once", other, 2, "", foreign, 2, ""]


def test_deliveries_of_entries_without_a_type(group: Group, client: redis.Redis) -> None:
    """A handler for the empty type serves them, by its own rules."""
    [id] = [str(client.xadd("jobs", {"x": "1"}))]
    group.read("a")
    group.age(id, STALLED)
    claimed, dead, *_ = reclaim(group, deliveries=1, by_type={"": 2})
    assert [(id, count) for id, _, count in claimed] == [(id, 2)]
    assert dead == []


def test_entries_for_another_group_killed_no_worker(group: Group, client: redis.Redis) -> None:
    Group(client, "other")
    theirs, ours = (
        str(client.xadd("jobs", {"type": "t", "data": "{}", "for": name}))
        for name in ("other", "g")
    )
    foreign = str(client.xadd("jobs", {"type": "t", "for": "other"}))
    group.read("a")
    for id in (theirs, ours, foreign):
        group.age(id, STALLED)
    claimed, dead, *_ = reclaim(group, by_type={"t": 1})
    assert [id for id, _, _ in claimed] == [theirs]
    assert dead == [ours, 1, "t", foreign, 1, "t"]


@pytest.mark.parametrize("chances", [0, 1, 2])
def test_so_many_last_chances_and_no_more(group: Group, client: redis.Redis, chances: int) -> None:
    """Those who have more deliveries to come, or none, do not wait."""
    add(client, 8)
    ids = group.read("a")
    last, fresh, spent = ids[:4], ids[4:6], ids[6:]
    for id in last:
        group.take_by_hand(id, "a")
    for id in spent:
        group.take_by_hand(id, "a")
        group.take_by_hand(id, "a")
    for id in ids:
        group.age(id, STALLED)
    claimed, dead, *_, more, _, _ = reclaim(group, deliveries=3, last_chances=chances)
    assert {id: count for id, _, count in claimed} == {
        **dict.fromkeys(last[:chances], 3), **dict.fromkeys(fresh, 2),
    }  # fmt: skip
    assert dead[::3] == spent
    assert more == 1
    assert not client.exists(group.keys.reclaim_lock)
    assert {id for id, (name, _) in group.pending().items() if name == "a"} == set(last[chances:])


def test_those_who_wait_do_not_hide_the_others(group: Group, client: redis.Redis) -> None:
    add(client, 40)
    ids = group.read("a")
    for id in ids[:5]:
        group.take_by_hand(id, "a")
    for id in ids:
        group.age(id, STALLED)
    claimed, *_, more, _, _ = reclaim(group, most=10, deliveries=3, last_chances=0)
    assert [id for id, _, _ in claimed] == ids[5:15]
    assert more == 1


def test_one_sweep_at_a_time(group: Group, client: redis.Redis) -> None:
    assert group.reclaim("b", pause=60_000) == [[], [], [], [], 0, "-", []]
    [id] = add(client)
    group.read("a")
    group.age(id, STALLED)
    assert group.reclaim("b", pause=60_000) is None
    assert group.reclaim("c", pause=60_000) is None
    assert 0 < int(client.pttl(group.keys.reclaim_lock)) <= 60_000
    assert group.pending() == {id: ("a", 1)}


def test_no_more_than_asked_for_and_the_rest_at_once(group: Group, client: redis.Redis) -> None:
    add(client, 10)
    ids = [*group.read("a", count=6), *group.read("c")]
    for id in ids:
        group.age(id, STALLED)
    claimed, *_, more, _, _ = group.reclaim("b", 4, lease=LEASE, pause=60_000)
    assert [id for id, _, _ in claimed] == ids[:4]
    assert more == 1
    claimed, *_, more, _, _ = group.reclaim("b", 4, lease=LEASE, pause=60_000)
    assert [id for id, _, _ in claimed] == ids[4:8]
    assert more == 1
    claimed, *_, more, _, _ = group.reclaim("b", 4, lease=LEASE, pause=60_000)
    assert [id for id, _, _ in claimed] == ids[8:]
    assert more == 0
    assert group.reclaim("b", 4, lease=LEASE, pause=60_000) is None


def test_ids_of_different_lengths(group: Group, client: redis.Redis) -> None:
    add_at(client, AWKWARD)
    group.read("a")
    for id in AWKWARD:
        group.age(id, STALLED)
    claimed, *_ = reclaim(group)
    assert [id for id, _, _ in claimed] == AWKWARD


def test_silent_consumers_without_entries_are_removed(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read("holds")
    for name in ("idle", "b", PARKED):
        client.xgroup_createconsumer("jobs", "g", name)
    assert reclaim(group, silence=60_000)[3] == []
    removed = reclaim(group, silence=-1)[3]
    assert removed == ["idle"]
    assert group.consumers() == {"holds", "b", PARKED}
    assert group.pending() == {id: ("holds", 1)}


def test_a_partly_lost_retry_set_is_looked_through_in_steps(
    group: Group, client: redis.Redis
) -> None:
    ids = add(client, 1500)
    client.xgroup_createconsumer("jobs", group.name, PARKED)
    client.xreadgroup(group.name, PARKED, {"jobs": ">"}, count=1500)
    client.zadd(group.keys.retry, dict.fromkeys(ids[:1200], 9e15))
    *_, heal_from, _ = reclaim(group)
    assert heal_from == f"({ids[999]}"
    assert len(group.parked()) == 1200
    *_, heal_from, _ = reclaim(group, heal_from=heal_from)
    assert heal_from == "-"
    assert set(group.parked()) == set(ids)


def test_a_lost_retry_set_is_made_anew(group: Group, client: redis.Redis) -> None:
    add(client, 3)
    ids = group.read("a")
    group.settle("a", *(failed(id, delay=60_000) for id in ids))
    client.zrem(group.keys.retry, ids[1])
    reclaim(group)
    parked = group.parked()
    assert parked.keys() == set(ids)
    assert parked[ids[1]] <= int(client.time()[0]) * 1000 + 1000 < parked[ids[0]]
    client.delete(group.keys.retry)
    reclaim(group)
    assert sorted(id for id, _, _ in group.due("b")[1]) == ids


@pytest.mark.parametrize("key", ["retry", "dlq"])
def test_wrong_key_types_are_refused(group: Group, client: redis.Redis, key: str) -> None:
    [id] = add(client)
    group.read("a")
    group.age(id, STALLED)
    client.set(getattr(group.keys, key), "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        group.reclaim("b", lease=LEASE, deliveries=1)
    assert group.pending() == {id: ("a", 1)}
    assert not client.exists(group.keys.reclaim_lock)


def test_a_missing_group_or_stream_is_said(group: Group, client: redis.Redis) -> None:
    client.xgroup_destroy("jobs", "g")
    with pytest.raises(redis.ResponseError, match="NOGROUP"):
        group.reclaim("b")
    client.delete("jobs", group.keys.reclaim_lock)
    with pytest.raises(redis.ResponseError, match="NOGROUP"):
        group.reclaim("b")
    assert client.keys("*") == []


def test_it_works_when_memory_is_short(make_server: Callable[..., RedisServer]) -> None:
    with make_server().client() as client:
        group = Group(client)
        first, second = add(client, 2)
        group.read("a")
        group.take_by_hand(first, "a")
        for id in (first, second):
            group.age(id, STALLED)
        client.config_set("maxmemory", "1")
        claimed, dead, *_ = reclaim(group, deliveries=2)
        assert [id for id, _, _ in claimed] == [second]
        assert dead == [first, 2, "t"]
        assert len(group.letters()) == 1


def test_an_entry_with_too_many_fields_for_a_command_of_lua(
    group: Group, client: redis.Redis
) -> None:
    own = [part for n in range(5000) for part in (f"f{n}", n)]
    id = write(client, *own)
    group.read("a")
    group.age(id, STALLED)
    assert reclaim(group, deliveries=1)[1] == [id, 1, ""]
    assert len(group.letters()) == 1


@pytest.mark.parametrize("parked", [100, 20_000])
def test_parked_entries_cost_nothing(client: redis.Redis, group: Group, parked: int) -> None:
    """However many wait for their retry time, a reclaim does the same few commands."""
    add(client, parked)
    ids = group.read("a", count=parked)
    pipe = client.pipeline(transaction=False)
    for start in range(0, parked, 1000):
        chunk = ids[start : start + 1000]
        pipe.xclaim("jobs", "g", PARKED, 0, [*chunk], justid=True, idle=STALLED)
        pipe.zadd(group.keys.retry, dict.fromkeys(chunk, 9e15))
    pipe.execute()
    [stalled] = add(client)
    group.read("a")
    group.age(stalled, STALLED)
    client.config_resetstat()
    [[claimed, _, _]], *_ = reclaim(group)
    stats: Any = client.info("commandstats")
    calls = {name: stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in COUNTED}
    assert claimed == stalled
    assert calls == {"xpending": 2, "xautoclaim": 1, "xclaim": 0, "zadd": 0, "xrange": 1}


COUNTED = ("xpending", "xautoclaim", "xclaim", "zadd", "xrange")


def rated(client: redis.Redis, count: int) -> tuple[Group, list[str]]:
    """Jobs that a lost worker has; by the rate two of them may begin an hour."""
    group = Group(client)
    ids = add(client, count)
    group.read("lost")
    for id in ids:
        group.age(id, 5000)
    return group, ids


def test_what_a_rate_does_not_allow_yet_is_parked(client: redis.Redis) -> None:
    group, ids = rated(client, 4)
    rules = Rules.make(rate="1/h burst 2").pack()
    claimed, *_ = group.reclaim("b", rules=rules)
    assert [(id, count) for id, _, count in claimed] == [(id, 2) for id in ids[:2]]
    assert [group.pending()[id] for id in ids[2:]] == [("~retry", 1)] * 2
    assert set(group.parked()) == set(ids[2:])


def test_the_last_chance_of_one_that_a_rate_does_not_allow_yet_comes_later(
    client: redis.Redis,
) -> None:
    group, ids = rated(client, 3)
    rules = Rules.make(rate="1/h burst 2").pack()
    claimed, _, _, _, more, _, _ = group.reclaim("b", deliveries=2, rules=rules)
    assert (len(claimed), more) == (2, 0)
    assert group.pending()[ids[2]] == ("lost", 1)


def test_one_of_a_paused_type_is_parked(client: redis.Redis) -> None:
    group, [id] = rated(client, 1)
    claimed, *_ = group.reclaim("b", rules=Rules().pack(("t",)))
    assert (claimed, group.pending()) == ([], {id: ("~retry", 1)})


def test_one_that_has_not_got_its_key_is_parked(client: redis.Redis) -> None:
    """Other hands have taken it out of its line."""
    group, rules = Group(client), Rules.make(order=True).pack()
    ids = [write(client, "type", "t", "data", "{}", "key", "k") for _ in range(2)]
    run(client, lua.admit(group.keys, "a", 10, rules))
    group.take_by_hand(ids[1], "somebody")
    for id in ids:
        group.age(id, 5000)
    claimed, *_ = group.reclaim("b", rules=rules)
    assert [id for id, *_ in claimed] == ids[:1]
    assert group.pending()[ids[1]][0] == "~retry"
