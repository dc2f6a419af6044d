"""Later, and once only: produce_once.lua, schedule.lua, due.lua, promote.lua, and the changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import redis

from streamq import lua
from streamq.wire.keys import stream_keys
from tests.lua.support import ids_of, raw_entries, run, types_left
from tests.servers import RedisServer

KEYS = stream_keys("jobs")
FIELDS = ("type", "t", "data", "{}")
HOUR = 3_600_000


def typed_key(kind: str) -> str:
    """One key of each kind."""
    if kind == "stream":
        return "jobs"
    if kind == "unique":
        return KEYS.unique("k")
    return KEYS.schedule_id("s-1") if kind == "schedule_id" else str(getattr(KEYS, kind))


def schedule(
    client: redis.Redis, name: str = "s-1", when: tuple[str, int] = ("in", 0),
    key: str | None = None, fields: Sequence[str] = FIELDS,
) -> Any:  # fmt: skip
    reply = run(client, lua.schedule(KEYS, name, when, key, 60_000, fields))
    due = client.zscore(KEYS.scheduled, reply[0])
    assert reply[2:] == [None if due is None else f"{due:.0f}"]
    return list(reply[:2])


def due(client: redis.Redis, most: int = 100) -> tuple[int, list[tuple[bytes, bytes]]]:
    wait, now, version, *found = run(client, lua.due(KEYS, most))
    assert (now <= int(client.time()[0] * 1000 + 999), version) == (True, None)
    named = [part.encode() for part in found]
    return wait, list(zip(named[::2], named[1::2], strict=True))


def written(reply: list[int]) -> tuple[int, int]:
    """How many jobs a promotion has come to, and how many of these it has written."""
    reached, *late = reply
    assert all(ms >= 0 for ms in late)
    return reached, len(late)


def promote(client: redis.Redis, most: int = 100) -> list[int]:
    """What a worker does: how long until the next one is due, and how many were written."""
    wait, found = due(client, most)
    return [wait, written(run(client, lua.promote(KEYS, found, HOUR)))[1] if found else 0]


def unschedule(client: redis.Redis, name: str = "s-1", key: str | None = None) -> Any:
    return run(client, lua.unschedule(KEYS, name, key))


def once(client: redis.Redis, key: str = "k", ttl: int = 60_000) -> Any:
    return run(client, lua.produce_once(KEYS, key, ttl, FIELDS))


# -- once ---------------------------------------------------------------------


def test_a_key_writes_once(client: redis.Redis) -> None:
    id, made = once(client)
    assert made == 1
    assert once(client) == [id, 0, None]
    assert once(client, "other") != [id, 0]
    assert ids_of(client)[0] == id
    assert len(ids_of(client)) == 2
    assert 0 < int(client.pttl(KEYS.unique("k"))) <= 60_000


@pytest.mark.parametrize("key", ["stream", "unique"])
def test_wrong_types_write_nothing(client: redis.Redis, key: str) -> None:
    name = typed_key(key)
    client.rpush(name, "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        once(client)
    assert types_left(client) == {name: "list"}


# -- later --------------------------------------------------------------------


def test_a_job_waits_for_its_time(client: redis.Redis) -> None:
    assert schedule(client, when=("in", HOUR)) == ["s-1", 1]
    wait, written = promote(client)
    assert (HOUR - 10_000 < wait <= HOUR, written) == (True, 0)
    assert not client.exists("jobs")
    client.zadd(KEYS.scheduled, {"s-1": 1})
    assert promote(client) == [-1, 1]
    [(id, fields)] = raw_entries(client, "jobs")
    assert fields == [("type", "t"), ("data", "{}")]
    assert types_left(client) == {"jobs": "stream", KEYS.schedule_id("s-1"): "string"}
    assert client.get(KEYS.schedule_id("s-1")) == id
    assert HOUR - 10_000 < int(client.pttl(KEYS.schedule_id("s-1"))) <= HOUR


def test_a_time_can_be_absolute(client: redis.Redis) -> None:
    now = int(client.time()[0]) * 1000
    schedule(client, "s-1", ("at", now + HOUR))
    schedule(client, "s-2", ("at", 1))
    assert client.zscore(KEYS.scheduled, "s-1") == now + HOUR
    assert promote(client)[1] == 1


def test_the_same_schedule_twice_is_one(client: redis.Redis) -> None:
    schedule(client)
    assert schedule(client) == ["s-1", 3]
    assert promote(client) == [-1, 1]
    [id] = ids_of(client)
    assert schedule(client) == [id, 3]
    assert promote(client) == [-1, 0]


def test_the_same_key_twice_is_one(client: redis.Redis) -> None:
    assert schedule(client, "s-1", ("in", HOUR), "k") == ["s-1", 1]
    assert schedule(client, "s-2", ("in", HOUR), "k") == ["s-1", 0]
    assert client.zrange(KEYS.scheduled, 0, -1) == ["s-1"]
    assert HOUR < int(client.pttl(KEYS.unique("k"))) <= HOUR + 60_000


def test_the_earliest_first_and_no_more_than_asked_for(client: redis.Redis) -> None:
    for n in (3, 1, 2):
        schedule(client, f"s-{n}", ("at", n), fields=("n", str(n)))
    assert promote(client, 2) == [-1, 2]
    assert promote(client, 2) == [-1, 1]
    assert [fields for _, fields in raw_entries(client, "jobs")] == [
        [("n", "1")], [("n", "2")], [("n", "3")],
    ]  # fmt: skip


def test_values_survive(client: redis.Redis, server: RedisServer) -> None:
    data = bytes(range(256))
    with server.client(decode_responses=False) as raw:
        run(raw, lua.schedule(KEYS, "s-1", ("in", 0), None, 1, ("data", data, "n", 7, "", "")))
        run(raw, lua.promote(KEYS, [(b"s-1", b"")], HOUR))
        [(_, fields)] = raw.xrange("jobs")
        assert fields == {b"data": data, b"n": b"7", b"": b""}


def test_a_job_can_be_taken_back(client: redis.Redis) -> None:
    schedule(client, "s-1", ("in", HOUR), "k")
    schedule(client, "s-2", ("in", HOUR))
    assert unschedule(client, "s-1", "k") == 1
    assert unschedule(client, "s-1", "k") == 0
    assert unschedule(client, "s-2") == 1
    assert client.keys("*") == []


def test_a_key_that_stands_for_something_else_is_kept(client: redis.Redis) -> None:
    schedule(client, "s-1", ("in", HOUR), "k")
    client.set(KEYS.unique("k"), "1-1")
    assert unschedule(client, "s-1", "k") == 1
    assert client.get(KEYS.unique("k")) == "1-1"


@pytest.mark.parametrize("key", ["scheduled", "scheduled_jobs", "unique", "schedule_id"])
def test_wrong_types_schedule_nothing(client: redis.Redis, key: str) -> None:
    """Least of all the key alone: it would stand for a job that never comes."""
    name = typed_key(key)
    client.rpush(name, "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        schedule(client, key="k")
    assert types_left(client) == {name: "list"}


def test_a_stream_of_the_wrong_type_keeps_what_is_due(client: redis.Redis) -> None:
    schedule(client)
    client.set("jobs", "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        promote(client)
    client.delete("jobs")
    assert promote(client) == [-1, 1]


@pytest.mark.parametrize("garbage", ["", "x", "\xc1", "\x90", "\xa1x", "\x91\xa1x"])
def test_what_is_no_job_is_no_obstacle(
    client: redis.Redis, server: RedisServer, garbage: str
) -> None:
    """Somebody has written among the scheduled jobs by hand."""
    schedule(client, "s-2", ("at", 2))
    with server.client(decode_responses=False) as raw:
        raw.hset(KEYS.scheduled_jobs, "s-1", garbage.encode("latin-1"))
        raw.zadd(KEYS.scheduled, {"s-1": 1, "s-0": 0, b"\xff": 0})
        found = run(raw, lua.due(KEYS, 100))[3:]
        pairs = list(zip(found[::2], found[1::2], strict=True))
        assert written(run(raw, lua.promote(KEYS, pairs, HOUR))) == (4, 1)
    assert promote(client) == [-1, 0]
    assert len(ids_of(client)) == 1
    # Nobody knows what it is, so nobody throws it away.
    assert client.hkeys(KEYS.scheduled_jobs) == ["s-1"]


def test_when_memory_is_short_what_was_promised_is_written(
    make_server: Callable[..., RedisServer],
) -> None:
    with make_server().client() as client:
        schedule(client)
        client.config_set("maxmemory", "1")
        with pytest.raises(redis.ResponseError, match=r"OOM|maxmemory"):
            schedule(client, "s-2")
        with pytest.raises(redis.ResponseError, match=r"OOM|maxmemory"):
            once(client)
        assert promote(client) == [-1, 1]
        assert unschedule(client) == 0


# -- promotion, by several ------------------------------------------------------


def test_what_is_due_is_named_with_its_key(client: redis.Redis) -> None:
    assert due(client) == (-1, [])
    schedule(client, "s-1", ("at", 2))
    schedule(client, "s-2", ("at", 1), "k")
    schedule(client, "s-3", ("in", HOUR))
    wait, found = due(client)
    assert HOUR - 10_000 < wait <= HOUR
    assert found == [(b"s-2", b"k"), (b"s-1", b"")]
    assert due(client, 1)[1] == [(b"s-2", b"k")]
    assert client.exists("jobs") == 0


def test_two_workers_that_found_the_same_write_each_job_once(client: redis.Redis) -> None:
    for n in range(5):
        schedule(client, f"s-{n}", ("at", n + 1), f"k-{n}" if n % 2 else None)
    _, found = due(client)
    one, other = lua.promote(KEYS, found, HOUR), lua.promote(KEYS, found[::-1], HOUR)
    assert written(run(client, one)) == (5, 5)
    assert written(run(client, other)) == (5, 0)
    assert len(ids_of(client)) == 5
    names = [client.get(KEYS.schedule_id(f"s-{n}")) for n in range(5)]
    assert names == ids_of(client)


def test_what_was_cancelled_or_put_off_since_it_was_found_is_not_written(
    client: redis.Redis,
) -> None:
    schedule(client, "s-1", ("at", 1), "k")
    schedule(client, "s-2", ("at", 1))
    schedule(client, "s-3", ("at", 1))
    _, found = due(client)
    assert unschedule(client, "s-1", "k") == 1
    assert run(client, lua.reschedule(KEYS, "s-2", ("in", HOUR), None)) is not None
    assert written(run(client, lua.promote(KEYS, found, HOUR))) == (3, 1)
    assert len(ids_of(client)) == 1
    assert client.zrange(KEYS.scheduled, 0, -1) == ["s-2"]
    assert not client.exists(KEYS.unique("k"))


def test_it_tells_how_late_each_job_was_written(client: redis.Redis) -> None:
    now = int(client.time()[0]) * 1000
    schedule(client, "s-1", ("at", now - 7000))
    schedule(client, "s-2", ("at", now - 2000))
    _, found = due(client)
    reached, first, second = run(client, lua.promote(KEYS, found, HOUR))
    assert reached == 2
    assert first - second == 5000
    assert second >= 2000


def test_the_key_leads_to_the_entry_from_then_on(client: redis.Redis) -> None:
    schedule(client, "s-1", ("at", 1), "k")
    ttl = int(client.pttl(KEYS.unique("k")))
    promote(client)
    [id] = ids_of(client)
    assert client.get(KEYS.unique("k")) == id
    assert 0 < int(client.pttl(KEYS.unique("k"))) <= ttl
    assert once(client) == [id, 0, None]


@pytest.mark.parametrize("taken", ["s-other", "1-1", None, "a list"])
def test_a_key_that_has_gone_to_another_job_is_left_alone(
    client: redis.Redis, taken: str | None
) -> None:
    schedule(client, "s-1", ("at", 1), "k")
    client.delete(KEYS.unique("k"))
    if taken == "a list":
        client.rpush(KEYS.unique("k"), "x")
    elif taken is not None:
        client.set(KEYS.unique("k"), taken)
    assert promote(client) == [-1, 1]
    if taken != "a list":
        assert client.get(KEYS.unique("k")) == taken


def test_large_jobs_are_written_a_few_at_a_time(client: redis.Redis) -> None:
    blob = "x" * 600_000
    for n in range(5):
        schedule(client, f"s-{n}", ("at", n + 1), fields=("data", blob))
    _, found = due(client)
    assert written(run(client, lua.promote(KEYS, found, HOUR))) == (2, 2)
    assert written(run(client, lua.promote(KEYS, found[2:], HOUR))) == (2, 2)
    assert written(run(client, lua.promote(KEYS, found[4:], HOUR))) == (1, 1)
    assert len(ids_of(client)) == 5


# -- one of them ----------------------------------------------------------------


def find(client: redis.Redis, name: str = "s-1") -> Any:
    return run(client, lua.find_scheduled(KEYS, name))


def reschedule(
    client: redis.Redis, name: str = "s-1", when: tuple[str, int] = ("in", 0),
    key: str | None = None,
) -> Any:  # fmt: skip
    return run(client, lua.reschedule(KEYS, name, when, key))


def test_one_is_found_while_it_waits_and_afterwards(client: redis.Redis) -> None:
    assert find(client) is None
    schedule(client, "s-1", ("at", 1), "k", ("type", "t", "n", "7"))
    assert find(client) == ["1", ["type", "t", "n", "7"], "k"]
    promote(client)
    assert [find(client)] == ids_of(client)


def test_what_cannot_be_read_is_found_without_fields(client: redis.Redis) -> None:
    client.zadd(KEYS.scheduled, {"s-1": 5})
    assert find(client) == ["5", [], ""]
    client.hset(KEYS.scheduled_jobs, "s-1", "no job")
    assert find(client) == ["5", [], ""]


def test_another_time(client: redis.Redis) -> None:
    assert reschedule(client) is None
    schedule(client, when=("in", HOUR))
    now = int(client.time()[0]) * 1000
    assert reschedule(client, when=("at", now + 2 * HOUR)) == str(now + 2 * HOUR)
    assert client.zscore(KEYS.scheduled, "s-1") == now + 2 * HOUR
    assert promote(client)[1] == 0
    assert float(reschedule(client)) >= now
    assert promote(client) == [-1, 1]
    assert reschedule(client) is None


def test_a_key_is_remembered_from_the_new_time_on(client: redis.Redis) -> None:
    schedule(client, "s-1", ("in", HOUR), "k")
    reschedule(client, "s-1", ("in", 3 * HOUR), "k")
    assert 3 * HOUR < int(client.pttl(KEYS.unique("k"))) <= 3 * HOUR + 60_000
    reschedule(client, "s-1", ("at", 1), "k")
    assert 50_000 < int(client.pttl(KEYS.unique("k"))) <= 60_000
    client.set(KEYS.unique("k"), "1-1")  # somebody else's, for ever
    reschedule(client, "s-1", ("in", HOUR), "k")
    assert client.pttl(KEYS.unique("k")) == -1


def test_a_key_of_the_wrong_type_puts_nothing_off(client: redis.Redis) -> None:
    schedule(client, "s-1", ("at", 1), "k")
    client.delete(KEYS.unique("k"))
    client.rpush(KEYS.unique("k"), "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        reschedule(client, "s-1", ("in", HOUR), "k")
    assert client.zscore(KEYS.scheduled, "s-1") == 1
