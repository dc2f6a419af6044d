"""schedule.lua, promote.lua, unschedule.lua and produce_once.lua: later, and once only."""

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


def schedule(
    client: redis.Redis, name: str = "s-1", when: tuple[str, int] = ("in", 0),
    key: str | None = None, fields: Sequence[str] = FIELDS,
) -> Any:  # fmt: skip
    reply = run(client, lua.schedule(KEYS, name, when, key, 60_000, fields))
    due = client.zscore(KEYS.scheduled, reply[0])
    assert reply[2:] == [None if due is None else f"{due:.0f}"]
    return list(reply[:2])


def promote(client: redis.Redis, most: int = 100) -> Any:
    next_in, written, now, version = run(client, lua.promote(KEYS, most))
    assert (now <= int(client.time()[0] * 1000 + 999), version) == (True, None)
    return [next_in, written]


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
    name = {"stream": "jobs", "unique": KEYS.unique("k")}[key]
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
    assert raw_entries(client, "jobs")[0][1] == [("type", "t"), ("data", "{}")]
    assert types_left(client) == {"jobs": "stream"}


def test_a_time_can_be_absolute(client: redis.Redis) -> None:
    now = int(client.time()[0]) * 1000
    schedule(client, "s-1", ("at", now + HOUR))
    schedule(client, "s-2", ("at", 1))
    assert client.zscore(KEYS.scheduled, "s-1") == now + HOUR
    assert promote(client)[1] == 1


def test_the_same_schedule_twice_is_one(client: redis.Redis) -> None:
    schedule(client)
    assert schedule(client) == ["s-1", 0]
    assert promote(client) == [-1, 1]


def test_the_same_key_twice_is_one(client: redis.Redis) -> None:
    assert schedule(client, "s-1", ("in", HOUR), "k") == ["s-1", 1]
    assert schedule(client, "s-2", ("in", HOUR), "k") == ["s-1", 0]
    assert client.zrange(KEYS.scheduled, 0, -1) == ["s-1"]
    assert HOUR < int(client.pttl(KEYS.unique("k"))) <= HOUR + 60_000


def test_the_earliest_first_and_no_more_than_asked_for(client: redis.Redis) -> None:
    for n in (3, 1, 2):
        schedule(client, f"s-{n}", ("at", n), fields=("n", str(n)))
    assert promote(client, 2) == [0, 2]
    assert promote(client, 2) == [-1, 1]
    assert [fields for _, fields in raw_entries(client, "jobs")] == [
        [("n", "1")], [("n", "2")], [("n", "3")],
    ]  # fmt: skip


def test_values_survive(client: redis.Redis, server: RedisServer) -> None:
    data = bytes(range(256))
    with server.client(decode_responses=False) as raw:
        run(raw, lua.schedule(KEYS, "s-1", ("in", 0), None, 1, ("data", data, "n", 7, "", "")))
        promote(raw)
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


@pytest.mark.parametrize("key", ["scheduled", "scheduled_jobs", "unique"])
def test_wrong_types_schedule_nothing(client: redis.Redis, key: str) -> None:
    """Least of all the key alone: it would stand for a job that never comes."""
    name = KEYS.unique("k") if key == "unique" else getattr(KEYS, key)
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
    client.zadd(KEYS.scheduled, {"s-1": 1, "s-0": 0})
    assert promote(client) == [-1, 1]
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
