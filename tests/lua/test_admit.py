"""admit.lua and settle_and_admit.lua: who may run, who is held, and who is next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from tests.lua.flow_support import HELD, PARKED, FlowGroup, add_keyed, add_keyed_at
from tests.lua.support import AWKWARD, HUGE, add, command, dead, failed, given_back, succeeded
from tests.servers import RedisServer

MIB = 1024 * 1024

AWKWARD_KEYS: list[str | bytes] = [
    "", ":", ";", "k", "k1:", "1:k", "2:k:", "\x00", "\x00\x00", b"\xff", b"\xff\xff", b"k\xff",
    "[", "(", "+", "-", "w", "h", "ключ", " ", "a" * 511, "a" * 512, "a" * 513, "a" * 514, "A1",
]  # fmt: skip
"""Keys that differ, and of which none may reach into the line of another."""


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    """A client that can show bytes which are no text."""
    with server.client(encoding_errors="backslashreplace") as client:
        yield client


# -- what it returns ----------------------------------------------------------


def test_nothing_to_read(client: redis.Redis) -> None:
    group = FlowGroup(client, order=True)
    assert group.admit() == (-1, [], [], "0-0", 0)
    assert group.flow_left() == {}


def test_one_of_a_key_is_given_and_the_others_are_held(client: redis.Redis) -> None:
    group = FlowGroup(client, order=True)
    x1, x2, y1, x3 = add_keyed(client, "x", "x", "y", "x")
    [free] = add(client)
    reply = group.admit()
    fields = ["type", "t", "data", "{}", "key", "x"]
    assert reply.given[0] == [x1, fields, 1]
    assert reply.ids == [x1, y1, free]
    assert (reply.next_in, reply.deleted, reply.watch, reply.any_cancelled) == (-1, [], free, 0)
    assert group.pending() == {
        x1: ("a", 1), x2: (HELD, 0), y1: ("a", 1), x3: (HELD, 0), free: ("a", 1)
    }  # fmt: skip
    assert group.waits_for(x2, x3) == [("key", 1), ("key", 2)]
    assert group.admit("b").ids == []


def test_the_settling_script_hands_over_the_next_of_a_key(client: redis.Redis) -> None:
    group = FlowGroup(client, order=True)
    ids = add_keyed(client, *"xxx")
    group.admit()
    refused, [[id, fields, count]] = group.settle_and_get("a", succeeded(ids[0]))
    assert (refused, id, count) == ([], ids[1], 1)
    assert fields == ["type", "t", "data", "{}", "key", "x"]
    assert group.settle_and_admit("a", dead(ids[1])) == ([], [ids[2]])
    assert group.settle_and_admit("a", succeeded(ids[2])) == ([], [])
    assert group.flow_left() == {}
    assert client.xlen("jobs") == 0


def test_without_room_the_next_is_for_whoever_asks(client: redis.Redis) -> None:
    group = FlowGroup(client, order=True)
    ids = add_keyed(client, "x", "x")
    group.admit()
    assert group.settle_and_admit("a", succeeded(ids[0]), room=0) == ([], [])
    assert group.pending() == {ids[1]: (HELD, 0)}
    assert group.admit("b").given == [[ids[1], ["type", "t", "data", "{}", "key", "x"], 1]]


def test_a_refused_verdict_frees_no_key(client: redis.Redis) -> None:
    group = FlowGroup(client, order=True)
    ids = add_keyed(client, "x", "x")
    group.admit("a")
    group.take_by_hand(ids[0], "b")
    assert group.settle_and_admit("a", succeeded(ids[0])) == ([1, "=b"], [])
    assert group.settle_and_admit("b", succeeded(ids[0], 2)) == ([], [ids[1]])


@pytest.mark.parametrize("verdict", [failed, given_back])
def test_a_parked_job_keeps_its_key(client: redis.Redis, verdict: Callable[..., Any]) -> None:
    group = FlowGroup(client, order=True)
    ids = add_keyed(client, "x", "x")
    group.admit()
    assert group.settle_and_admit("a", verdict(ids[0])) == ([], [])
    assert group.pending()[ids[0]][0] == PARKED
    assert group.admit("b").ids == [ids[0]]
    count = group.pending()[ids[0]][1]
    assert group.settle_and_admit("b", succeeded(ids[0], count)) == ([], [ids[1]])


def test_skip_lets_the_next_run_and_the_retry_wait_for_it(client: redis.Redis) -> None:
    group = FlowGroup(client, order=True, on_failure="skip")
    ids = add_keyed(client, "x", "x", "x")
    group.admit()
    assert group.settle_and_admit("a", failed(ids[0])) == ([], [ids[1]])
    assert group.admit().ids == []
    assert group.pending()[ids[0]] == (HELD, 1)
    assert group.waits_for(*ids[::2]) == [("key", 1), ("key", 2)]
    assert group.settle_and_admit("a", succeeded(ids[1])) == ([], [ids[0]])


def test_limits_of_a_key_and_of_the_group(client: redis.Redis) -> None:
    group = FlowGroup(client, limit_per_key=2, max_in_flight=3)
    ids = add_keyed(client, *"xxxyyy")
    assert group.admit().ids == [ids[0], ids[1], ids[3]]
    client.zadd(group.flow("queue"), {ids[4]: 1})  # since long ago, not since this millisecond
    assert group.waits_for(ids[2], ids[4], ids[5]) == [("key", 1), ("room", 1), ("key", 1)]
    # What has waited for room comes first; what has just got its key waits behind it.
    assert group.settle_and_admit("a", succeeded(ids[0])) == ([], [ids[4]])
    assert group.waits_for(ids[2]) == [("room", 1)]


def test_a_key_with_many_jobs_does_not_keep_others_from_the_room(client: redis.Redis) -> None:
    group = FlowGroup(client, limit_per_key=1, max_in_flight=1)
    many = add_keyed(client, *"x" * 5)
    [one] = add_keyed(client, "y")
    assert group.admit().ids == many[:1]
    client.zadd(group.flow("queue"), {one: 1})  # since long ago, not since this millisecond
    assert group.settle_and_admit("a", succeeded(many[0])) == ([], [one])
    assert group.settle_and_admit("a", succeeded(one)) == ([], [many[1]])


def test_no_room_in_the_group_reads_nothing(client: redis.Redis) -> None:
    group = FlowGroup(client, max_in_flight=2)
    ids = add(client, 3)
    first = group.admit()
    assert (first.ids, first.watch) == (ids[:2], "")
    second = group.admit("b")
    assert (second.next_in, second.given, second.watch) == (-1, [], "!")
    assert len(group.pending()) == 2


def test_no_more_than_asked_for(client: redis.Redis) -> None:
    group = FlowGroup(client, order=True)
    ids = add_keyed(client, *"wxyz")
    assert group.admit(most=2).ids == ids[:2]
    assert group.admit("b", most=1).ids == [ids[2]]
    assert group.admit("b", most=0).ids == []
    assert group.admit("b").ids == [ids[3]]


def test_what_may_run_and_finds_no_room_stays_in_the_stream(client: redis.Redis) -> None:
    group = FlowGroup(client, order=True)
    ids = add_keyed(client, *"xx", *map(str, range(500)))
    reply = group.admit(most=100)
    assert reply.ids == [ids[0], *ids[2:101]]
    assert len(group.held()) <= 2
    assert reply.watch == ""
    more = group.admit("b", most=1000)
    assert more.watch == "", "no more than some are read at a time"
    assert more.ids[-1] != ids[-1]


def test_it_reads_past_a_key_that_has_many(client: redis.Redis) -> None:
    group = FlowGroup(client, order=True)
    ids = add_keyed(client, *"x" * 240, "y", "z")
    assert group.admit(most=3).ids == [ids[0], *ids[240:]]


def test_a_rate_says_when_to_ask_again(client: redis.Redis) -> None:
    group = FlowGroup(client, rate="1/h")
    first, _ = add(client, 2)
    assert group.admit().ids == [first]
    again = group.admit()
    assert (again.given, again.watch) == ([], "!")
    assert 0 < again.next_in <= 1000
    assert len(group.pending()) == 1


def test_the_turns_of_a_rate_end_by_themselves(client: redis.Redis) -> None:
    group = FlowGroup(client, rate_per_key="1/h")
    for key in ("x", "y"):
        add_keyed(client, key, key)
        group.admit()
    now: Any = client.time()
    turns: Any = client.zrange(group.flow("rates"), 0, -1, withscores=True)
    last = max(score for _, score in turns)
    left = last - (now[0] * 1000 + now[1] / 1000)
    assert client.pttl(group.flow("rates")) == pytest.approx(left, abs=60_000)
    assert left > 7_000_000


def test_a_rate_of_a_key_holds_the_job_until_its_time(client: redis.Redis) -> None:
    group = FlowGroup(client, rate_per_key="1/h")
    first, second, other = add_keyed(client, "x", "x", "y")
    reply = group.admit()
    assert reply.ids == [first, other]
    assert 3_500_000 < reply.next_in <= 3_600_000
    [(why, at)] = group.waits_for(second)
    assert (why, at) == ("rate", int(float(str(client.zscore(group.flow("due"), second)))))
    client.zadd(group.flow("due"), {second: 1})
    assert group.admit("b").ids == [second]


def test_a_paused_type_is_held_with_what_comes_after_it(client: redis.Redis) -> None:
    group = FlowGroup(client, order=True, paused=("news",))
    [news] = add_keyed(client, "x", type="news")
    [mail] = add_keyed(client, "x", type="mail")
    [other] = add_keyed(client, "y", type="mail")
    assert group.admit().ids == [other]
    assert group.waits_for(news, mail) == [("paused", 0), ("key", 1)]
    group.rules(order=True)
    assert group.sweep()[0] == 1
    assert group.admit().ids == [news]
    assert group.settle_and_admit("a", succeeded(news)) == ([], [mail])


def test_jobs_of_other_groups_wait_for_nobody(client: redis.Redis) -> None:
    group = FlowGroup(client, order=True, max_in_flight=10)
    for_other = ["type", "t", "data", "{}", "key", "x", "for", "other"]
    ids = [str(command(client, "XADD", "jobs", "*", *for_other)) for _ in range(2)]
    assert group.admit().ids == ids
    assert group.flow_left() == {}


def test_it_says_when_jobs_are_cancelled(client: redis.Redis) -> None:
    group = FlowGroup(client, order=True)
    client.sadd(group.keys.cancelled, "1-1")
    assert group.admit().any_cancelled == 1


# -- IDs and keys -------------------------------------------------------------


@pytest.mark.parametrize("ids", [HUGE, AWKWARD], ids=["huge", "awkward"])
def test_any_ids_come_in_their_order(client: redis.Redis, ids: list[str]) -> None:
    group = FlowGroup(client, order=True)
    add_keyed_at(client, ids)
    assert group.admit().ids == ids[:1]
    assert group.waits_for(*ids[1:]) == [("key", n) for n in range(1, len(ids))]
    for done, following in zip(ids, [*ids[1:], None], strict=True):
        expected = [] if following is None else [following]
        assert group.settle_and_admit("a", succeeded(done)) == ([], expected)
    assert group.flow_left() == {}


def test_the_largest_id_is_read_past(client: redis.Redis) -> None:
    group = FlowGroup(client, order=True)
    add_keyed_at(client, HUGE[-1:])
    assert group.admit().watch == HUGE[-1]
    assert group.admit().watch == HUGE[-1]


def test_keys_do_not_reach_into_each_other(client: redis.Redis) -> None:
    group = FlowGroup(client, order=True)
    first = add_keyed(client, *AWKWARD_KEYS)
    second = add_keyed(client, *AWKWARD_KEYS)
    assert group.admit().ids == [*first, second[0]], "an empty key is none"
    for one, other in zip(first[1:], second[1:], strict=True):
        assert group.waits_for(other) == [("key", 1)]
        assert group.settle_and_admit("a", succeeded(one)) == ([], [other])
    assert group.held() == []


def test_a_key_of_a_mebibyte(client: redis.Redis) -> None:
    """It costs the memory of a short one; another that begins alike is another key."""
    group = FlowGroup(client, order=True)
    large, other = "x" * MIB, "x" * MIB + "y"
    first, second, third = add_keyed(client, large, large, other)
    assert group.admit().ids == [first, third]
    noted: Any = client.hgetall(group.flow("keys"))
    assert all(len(value) < 100 for value in noted.values())
    assert group.waits_for(second) == [("key", 1)]
    assert group.settle_and_admit("a", succeeded(first)) == ([], [second])


def test_a_foreign_entry_has_a_key_by_a_field_of_its_own(client: redis.Redis) -> None:
    group = FlowGroup(client, order=True, key_from="customer")
    foreign: list[str | bytes] = ["type", "t", "customer", b"\xff\x00", "file", "a" * MIB]
    ids = [str(command(client, "XADD", "jobs", "*", *foreign)) for _ in range(2)]
    assert group.admit().ids == ids[:1]


@pytest.mark.parametrize(
    "data", ["", "{", "[]", "[1]", "null", '"customer"', '{"customer": null}', "{}",
             '{"customer": {}}', '{"customer": true}', '{"customer": []}', "[" * 2000],
)  # fmt: skip
def test_data_without_the_field_has_no_key(client: redis.Redis, data: str) -> None:
    group = FlowGroup(client, order=True, key_from="customer")
    ids = [str(command(client, "XADD", "jobs", "*", "type", "t", "data", data)) for _ in "ab"]
    assert group.admit().ids == ids


# -- what other hands do ------------------------------------------------------


def test_entries_that_were_deleted_while_held(client: redis.Redis) -> None:
    group = FlowGroup(client, order=True)
    ids = add_keyed(client, *"xxx")
    group.admit()
    client.xdel("jobs", ids[1])
    assert group.settle_and_admit("a", succeeded(ids[0])) == ([], [ids[2]])
    assert group.settle_and_admit("a", succeeded(ids[2])) == ([], [])
    assert group.pending() == {}
    assert group.flow_left() == {}


def test_what_was_deleted_is_reported_when_it_is_due(client: redis.Redis) -> None:
    group = FlowGroup(client, rate_per_key="1/h", order=True)
    ids = add_keyed(client, *"xx")
    group.admit()
    group.settle_and_admit("a", succeeded(ids[0]))
    client.xdel("jobs", ids[1])
    client.zadd(group.flow("due"), {ids[1]: 1})
    reply = group.admit()
    assert (reply.given, reply.deleted) == ([], [ids[1]])
    assert group.pending() == {}
    assert not client.exists(group.flow("keys"), group.flow("busy"))


def test_what_was_taken_by_hand_stays_with_its_taker(client: redis.Redis) -> None:
    group = FlowGroup(client, order=True)
    ids = add_keyed(client, *"xxx")
    group.admit()
    group.take_by_hand(ids[1], "me")
    assert group.settle_and_admit("a", succeeded(ids[0])) == ([], [ids[2]])
    assert group.pending()[ids[1]][0] == "me"


@pytest.mark.parametrize("garbage", ["x", "", "1-", "\x00", "-", "+", "(1-1"])
@pytest.mark.parametrize("name", ["due", "queue", "retry"])
def test_what_is_no_entry_id_is_no_obstacle(client: redis.Redis, name: str, garbage: str) -> None:
    group = FlowGroup(client, order=True, max_in_flight=10)
    [id] = add_keyed(client, "x")
    client.zadd(group.keys.retry if name == "retry" else group.flow(name), {garbage: 1})
    assert group.admit().ids == [id]
    assert group.settle_and_admit("a", succeeded(id)) == ([], [])
    assert group.flow_left() == {}


@pytest.mark.parametrize("garbage", ["k1:x:", "k1:x:x", "k1:x:\x00", "k1:x:N1"])
def test_what_is_no_place_in_a_line_is_no_obstacle(client: redis.Redis, garbage: str) -> None:
    group = FlowGroup(client, order=True)
    ids = add_keyed(client, *"xx")
    client.zadd(group.flow("lines"), {garbage: 0})
    client.hset(group.flow("keys"), ids[0], "hk1:x")
    client.hset(group.flow("busy"), "k1:x", 1)
    assert group.admit().ids == ids[:1]
    assert group.settle_and_admit("a", succeeded(ids[0])) == ([], ids[1:])


@pytest.mark.parametrize("name", ["keys", "busy", "lines", "due", "queue", "rates"])
def test_a_key_of_another_type_is_refused_before_anything_is_done(
    client: redis.Redis, name: str
) -> None:
    group = FlowGroup(
        client, order=True, rate="1000000/s", max_in_flight=100, rate_per_key="1000000/s"
    )
    [running] = add_keyed(client, "x")
    assert group.admit().ids == [running]
    [id] = add_keyed(client, "y")
    client.delete(group.flow(name))
    client.set(group.flow(name), "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        group.admit()
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        group.settle_and_admit("a", succeeded(running))
    assert group.pending() == {running: ("a", 1)}, "nothing was read, nothing settled"
    client.delete(group.flow(name))
    assert group.admit().ids == [id]
    assert group.settle_and_admit("a", succeeded(running)) == ([], [])


def test_a_missing_group_is_said(client: redis.Redis) -> None:
    group = FlowGroup(client, order=True)
    client.xgroup_destroy("jobs", "g")
    with pytest.raises(redis.ResponseError, match="NOGROUP"):
        group.admit()


def test_it_works_when_memory_is_short(make_server: Callable[..., RedisServer]) -> None:
    with make_server().client() as client:
        group = FlowGroup(client, order=True)
        ids = add_keyed(client, *"xx")
        client.config_set("maxmemory", "1")
        assert group.admit().ids == ids[:1]
        assert group.settle_and_admit("a", succeeded(ids[0])) == ([], ids[1:])
