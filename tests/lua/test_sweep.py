"""sweep.lua: what other hands have left of flow control is put right, and no job is lost."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
import redis

from tests.lua.flow_support import HELD, PARKED, START, FlowGroup, add_keyed, add_keyed_at
from tests.lua.support import HUGE, add, failed, succeeded
from tests.servers import RedisServer

NAMES = ("keys", "busy", "lines", "due", "queue", "rates")


def finish(group: FlowGroup) -> list[str]:
    """Sweep, run and settle until nothing is left; IDs in the order in which they ran."""
    ran: list[str] = []
    while group.client.xlen("jobs") or group.pending():
        group.sweep_all()
        running = [id for id, (who, _) in group.pending().items() if who == "a"]
        reply = group.admit("a", 1)
        running += reply.ids
        assert running or reply.deleted or reply.next_in == 0, "nothing may run any more"
        for id in dict.fromkeys(running):
            refused, given = group.settle_and_admit(
                "a", succeeded(id, group.pending()[id][1]), room=0
            )
            assert (refused, given) == ([], [])
            ran.append(id)
    return ran


# -- what it returns ----------------------------------------------------------


@pytest.mark.parametrize("rules", [{}, {"order": True}])
def test_nothing_to_do(client: redis.Redis, rules: dict[str, Any]) -> None:
    group = FlowGroup(client, **rules)
    assert group.sweep() == (0, list(START))
    assert group.flow_left() == {}


def test_what_is_as_it_should_be_stays(client: redis.Redis) -> None:
    group = FlowGroup(client, order=True, max_in_flight=2, rate_per_key="1/h")
    add_keyed(client, *"xxyyz")
    group.admit()
    before = group.flow_left()
    pending = group.pending()
    assert group.sweep() == (0, list(START))
    assert (group.flow_left(), group.pending()) == (before, pending)


def test_it_goes_on_where_it_left_off(client: redis.Redis) -> None:
    group = FlowGroup(client, order=True)
    add_keyed(client, *[f"k{n % 250}" for n in range(2500)])
    for _ in range(10):
        group.admit()
    assert len(group.held()) == 2250
    client.delete(*group.keys.flow)
    moved, places = group.sweep()
    assert moved == 1000
    assert places[0] != "-"
    moved, places = group.sweep(places)
    assert moved == 1000
    group.sweep_all()
    assert group.held() == []


# -- rules that are no more ---------------------------------------------------


def test_without_rules_all_that_is_held_may_run(client: redis.Redis) -> None:
    group = FlowGroup(client, order=True, rate_per_key="1/h")
    ids = add_keyed(client, *"xxxy")
    group.admit()
    group.rules()
    assert group.sweep() == (2, list(START))
    assert group.flow_left() == {}
    assert set(group.parked()) == set(ids[1:3])
    _, claimed, _ = group.due("b")
    assert [count for _, _, count in claimed] == [1, 1]


def test_a_higher_limit_lets_more_run(client: redis.Redis) -> None:
    group = FlowGroup(client, limit_per_key=1)
    ids = add_keyed(client, *"xxxx")
    group.admit()
    group.rules(limit_per_key=3)
    assert group.sweep()[0] == 2
    assert group.admit().ids == ids[1:3]


def test_a_type_that_is_resumed(client: redis.Redis) -> None:
    group = FlowGroup(client, paused=("news",))
    news = add_keyed(client, *"xyz", type="news")
    [mail] = add(client)
    assert group.admit().ids == [mail]
    assert group.sweep()[0] == 0
    group.rules(order=True)
    assert group.sweep()[0] == 3
    assert group.admit().ids == news


# -- jobs that are gone -------------------------------------------------------


@pytest.mark.parametrize("gone", ["acknowledged", "dead letter", "taken"])
def test_a_key_whose_job_is_gone_is_free(client: redis.Redis, gone: str) -> None:
    group = FlowGroup(client, order=True)
    ids = add_keyed(client, *"xxx")
    group.admit()
    for id in ids[:2]:
        if gone == "acknowledged":
            client.xack("jobs", "g", id)
        elif gone == "dead letter":
            group.to_dead_letters(id)
        else:
            group.take_by_hand(id, "me")
    assert group.sweep()[0] == (0 if gone == "taken" else 1)
    if gone == "taken":  # whoever has taken it runs it
        assert group.settle_and_admit("me", succeeded(ids[0], 2)) == ([], [ids[2]])
    else:
        assert group.admit().ids == [ids[2]]


def test_entries_that_were_deleted_while_held(client: redis.Redis) -> None:
    group = FlowGroup(client, order=True, max_in_flight=1)
    ids = add_keyed(client, *"xxxyyy")
    group.admit()
    client.xdel("jobs", *ids[1:5])
    assert finish(group) == [ids[0], ids[5]]
    assert group.pending() == {}
    assert group.flow_left() == {}


def test_cancelled_jobs_that_have_ended_are_forgotten(client: redis.Redis) -> None:
    group = FlowGroup(client, order=True)
    running, ended = add_keyed(client, *"xy")
    group.admit()
    [queued] = add_keyed(client, "z")
    group.settle_and_admit("a", succeeded(ended))
    client.sadd(group.keys.cancelled, running, ended, queued)
    group.sweep()
    assert client.smembers(group.keys.cancelled) == {running, queued}


# -- keys that are gone, or hold what they should not -------------------------


@pytest.mark.parametrize(
    "lost",
    [*((name,) for name in NAMES), *combinations(NAMES, 2), NAMES],
    ids="+".join,
)
def test_keys_of_flow_control_that_were_deleted(client: redis.Redis, lost: tuple[str, ...]) -> None:
    """Jobs that run, wait for their key, a rate, room, a retry: all of them end."""
    group = FlowGroup(client, order=True, max_in_flight=3)
    ids = add_keyed(client, *"xxxyyzzwv")
    assert len(group.admit().ids) == 3
    group.settle_and_admit("a", failed(ids[0]))
    client.delete(*map(group.flow, lost))
    group.sweep_all()
    assert sorted(finish(group)) == sorted(ids)
    assert group.pending() == {}
    group.sweep_all()
    assert group.flow_left() == {}


def test_order_holds_again_when_lines_were_lost(client: redis.Redis) -> None:
    group = FlowGroup(client, order=True)
    ids = add_keyed(client, *"xxxxx")
    group.admit()
    client.delete(group.flow("lines"), group.flow("keys"))
    assert finish(group) == ids


def test_a_rate_is_kept_when_the_set_of_times_was_lost(client: redis.Redis) -> None:
    group = FlowGroup(client, rate_per_key="1/h")
    ids = add_keyed(client, *"xxxxx")
    group.admit()
    client.delete(group.flow("due"))
    group.sweep_all()
    assert group.admit().ids == []
    assert set(group.held()) == set(ids[1:])
    assert client.zcard(group.flow("due")) == 4


def test_a_key_is_not_blocked_by_a_count_that_is_too_high(client: redis.Redis) -> None:
    group = FlowGroup(client, limit_per_key=2)
    ids = add_keyed(client, *"xxxx")
    group.admit()
    client.hset(group.flow("busy"), mapping={"k1:x": 7, "k1:y": 2})
    group.sweep_all()
    other = add_keyed(client, *"yy")
    assert group.admit().ids == other
    assert group.settle_and_admit("a", *map(succeeded, ids[:2])) == ([], ids[2:])


@pytest.mark.parametrize(
    "garbage", ["", "x", "k", "k9", "k99:x", "t1:x", ":", "k1:x", "\x00", "z1:y:N"]
)
def test_what_is_no_line_is_no_obstacle(client: redis.Redis, garbage: str) -> None:
    group = FlowGroup(client, order=True)
    ids = add_keyed(client, *"xx")
    group.admit()
    client.zadd(group.flow("lines"), {garbage: 0})
    client.hset(group.flow("keys"), garbage, garbage)
    client.zadd(group.flow("rates"), {garbage: 0})
    group.sweep_all()
    assert group.settle_and_admit("a", succeeded(ids[0])) == ([], ids[1:])
    assert group.settle_and_admit("a", succeeded(ids[1])) == ([], [])
    group.sweep_all()
    assert group.flow_left() == {}


@pytest.mark.parametrize("name", NAMES)
def test_a_key_of_another_type_is_refused_as_long_as_there_are_rules(
    client: redis.Redis, name: str
) -> None:
    group = FlowGroup(client, order=True)
    ids = add_keyed(client, *"xx")
    group.admit()
    client.delete(group.flow(name))
    client.set(group.flow(name), "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        group.sweep()
    assert group.pending() == {ids[0]: ("a", 1), ids[1]: (HELD, 0)}
    group.rules()
    group.sweep()
    assert group.flow_left() == {}
    assert group.pending()[ids[1]][0] == PARKED


def test_huge_ids(client: redis.Redis) -> None:
    group = FlowGroup(client, order=True)
    add_keyed_at(client, HUGE)
    group.admit()
    client.delete(group.flow("lines"), group.flow("keys"), group.flow("busy"))
    group.sweep_all()
    assert sorted(finish(group)) == sorted(HUGE)


def test_it_works_when_memory_is_short(make_server: Callable[..., RedisServer]) -> None:
    with make_server().client() as client:
        group = FlowGroup(client, order=True)
        ids = add_keyed(client, *"xx")
        group.admit()
        client.xack("jobs", "g", ids[0])
        client.config_set("maxmemory", "1")
        assert group.sweep()[0] == 1
