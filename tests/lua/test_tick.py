"""tick.lua and cron_*.lua: each tick once, and the schedules that they belong to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import redis

from streamq import lua
from streamq.wire.keys import stream_keys
from tests.lua.support import Group, ids_of, raw_entries, run, types_left
from tests.servers import RedisServer

KEYS = stream_keys("jobs")
JOB = ("type", "t", "data", "{}")


def version(client: redis.Redis) -> bytes:
    return str(client.hget(KEYS.cron, "version") or "").encode()


def put(
    client: redis.Redis, name: str = "s", *, definition: str = "{}", rule: str = "every 1 ms",
    at: bytes | None = None, declared: bool = False, paused: bool = False,
) -> Any:  # fmt: skip
    call = lua.cron_put(
        KEYS, version(client) if at is None else at, name, definition.encode(), b"{}", rule,
        declared=declared, paused=paused,
    )  # fmt: skip
    return run(client, call)


def ready(client: redis.Redis, start: int = 1000) -> None:
    """A schedule whose ticks after a time are due."""
    assert put(client) == 1
    client.hset(KEYS.cron, "from:s", start)


def tick(
    client: redis.Redis, start: int = 1000, last: int = 2000, overlap: str = "allow",
    jobs: Sequence[Sequence[lua.Arg]] = (JOB,), at: bytes | None = None,
) -> Any:  # fmt: skip
    at = version(client) if at is None else at
    return run(client, lua.tick(KEYS, at, "s", start, last, overlap, jobs))


def state(client: redis.Redis, *kinds: str) -> list[Any]:
    return [client.hget(KEYS.cron, f"{kind}:s") for kind in kinds]


def now_ms(client: redis.Redis) -> int:
    seconds, micros = client.time()
    return int(seconds) * 1000 + int(micros) // 1000


# -- ticks ----------------------------------------------------------------------


def test_a_tick_is_a_job(client: redis.Redis) -> None:
    ready(client)
    outcome, start, id = tick(client)
    assert (outcome, start) == ("written", "2000")
    assert raw_entries(client, "jobs") == [(id, [("type", "t"), ("data", "{}")])]
    assert state(client, "from", "tick", "job") == ["2000", "2000", id]


def test_the_same_call_again_writes_nothing(client: redis.Redis) -> None:
    """Its reply was lost, or another worker had the same in mind."""
    ready(client)
    tick(client)
    assert tick(client) == ["moved", "2000"]
    assert len(ids_of(client)) == 1


def test_several_ticks_are_several_jobs(client: redis.Redis) -> None:
    ready(client)
    jobs = [(*JOB, "tick", n) for n in (1500, 2000)]
    outcome, _, *ids = tick(client, jobs=jobs)
    assert outcome == "written"
    assert ids == ids_of(client)
    assert [fields[-1] for _, fields in raw_entries(client, "jobs")] == [
        ("tick", "1500"), ("tick", "2000"),
    ]  # fmt: skip
    assert state(client, "job") == [ids[-1]]


def test_ticks_that_are_left_out_are_noted(client: redis.Redis) -> None:
    ready(client)
    assert tick(client, jobs=()) == ["written", "2000"]
    assert state(client, "from", "tick", "job") == ["2000", "2000", None]
    assert ids_of(client) == []


def test_a_tick_to_come_waits_for_the_servers_clock(client: redis.Redis) -> None:
    ready(client)
    before = now_ms(client)
    outcome, start, now = tick(client, last=before + 3_600_000)
    assert (outcome, start) == ("early", "1000")
    assert before <= now <= now_ms(client)
    assert ids_of(client) == []


@pytest.mark.parametrize("change", ["pause", "delete", "another", "data"])
def test_a_change_that_the_worker_does_not_know_stops_the_tick(
    client: redis.Redis, change: str
) -> None:
    ready(client)
    known = version(client)
    if change == "pause":
        run(client, lua.cron_pause(KEYS, "s", pause=True))
    elif change == "delete":
        run(client, lua.cron_delete(KEYS, "s", 0))
    elif change == "another":
        put(client, "other")
    else:
        put(client, definition='{"type":"other"}')
    assert tick(client, at=known)[0] == "changed"
    assert ids_of(client) == []


def test_no_schedules_and_no_version(client: redis.Redis) -> None:
    assert tick(client, at=b"1") == ["changed", ""]
    assert client.keys("*") == []


@pytest.mark.parametrize("key", ["stream", "cron"])
def test_wrong_types_note_no_tick(client: redis.Redis, key: str) -> None:
    name = getattr(KEYS, key)
    if key == "stream":
        ready(client)
    client.delete(name)
    client.set(name, "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        tick(client, at=b"1" if key == "cron" else None)
    if key == "stream":
        assert state(client, "from", "tick") == ["1000", None]


def test_when_memory_is_short_a_tick_is_not_lost(make_server: Callable[..., RedisServer]) -> None:
    """A worker that could not write it could not go on to free any."""
    with make_server().client() as client:
        ready(client)
        client.config_set("maxmemory", "1")
        assert tick(client)[0] == "written"
        with pytest.raises(redis.ResponseError, match=r"OOM|maxmemory"):
            put(client, "other")


# -- overlap --------------------------------------------------------------------


def overlapping(client: redis.Redis, start: int = 2000) -> bool:
    outcome, now, *ids = tick(client, start, start + 1000, "skip")
    assert now == str(start + 1000)
    assert outcome == ("written" if ids else "overlap")
    return bool(outcome == "overlap")


def test_a_first_job_has_none_to_wait_for(client: redis.Redis) -> None:
    ready(client, 2000)
    assert not overlapping(client)


def test_a_queued_job_is_waited_for_even_without_a_group(client: redis.Redis) -> None:
    ready(client)
    id = tick(client)[2]
    assert overlapping(client)
    Group(client)
    assert overlapping(client, 3000)
    assert ids_of(client) == [id]
    assert state(client, "from", "tick", "job") == ["4000", "4000", id]


def test_a_pending_job_is_waited_for_and_a_settled_one_is_not(client: redis.Redis) -> None:
    first, second = Group(client, "g"), Group(client, "h")
    ready(client)
    id = tick(client)[2]
    for group in (first, second):
        client.xreadgroup(group.name, "c", {"jobs": ">"})
    assert overlapping(client)
    client.xack("jobs", "g", id)
    assert overlapping(client, 3000)
    client.xack("jobs", "h", id)
    assert not overlapping(client, 4000)


def test_a_job_that_is_gone_is_not_waited_for(client: redis.Redis) -> None:
    Group(client)
    ready(client)
    client.xdel("jobs", tick(client)[2])
    assert not overlapping(client)


def test_a_job_for_one_group_is_waited_for_in_that_group_only(client: redis.Redis) -> None:
    Group(client, "g"), Group(client, "slow")
    ready(client)
    id = tick(client, jobs=[(*JOB, "for", "g")])[2]
    assert overlapping(client)
    client.xreadgroup("g", "c", {"jobs": ">"})
    assert overlapping(client, 3000)
    client.xack("jobs", "g", id)
    assert not overlapping(client, 4000)


def test_what_is_no_id_is_no_obstacle(client: redis.Redis) -> None:
    ready(client, 2000)
    client.hset(KEYS.cron, "job:s", "by hand")
    Group(client)
    client.xadd("jobs", {"a": "1"})
    assert not overlapping(client)


# -- schedules --------------------------------------------------------------------


def test_a_schedule_begins_now(client: redis.Redis) -> None:
    before = now_ms(client)
    assert put(client) == 1
    [start, tick, seen] = state(client, "from", "tick", "seen")
    assert before <= int(start or 0) <= now_ms(client)
    assert (tick, seen) == (None, None)


def test_another_rule_begins_now_and_other_data_do_not(client: redis.Redis) -> None:
    ready(client, 1000)
    put(client, definition='{"type":"other"}')
    assert state(client, "from") == ["1000"]
    put(client, rule="every 2 ms")
    assert int(state(client, "from")[0] or 0) > 1000


def test_of_two_who_have_read_the_same_one_writes(client: redis.Redis) -> None:
    known = version(client)
    assert put(client, at=known) == 1
    assert put(client, at=known, definition='{"a":1}') == 0
    assert state(client, "schedule") == ["{}"]


def test_pausing_and_going_on(client: redis.Redis) -> None:
    def pause(*, pause: bool) -> Any:
        return run(client, lua.cron_pause(KEYS, "s", pause=pause))

    assert pause(pause=True) == -1
    ready(client, 1000)
    known = version(client)
    assert pause(pause=False) == 0
    assert version(client) == known
    assert [pause(pause=True), pause(pause=True)] == [1, 0]
    assert version(client) != known
    put(client, declared=True)
    assert state(client, "paused") != [None], "a worker that starts leaves it paused"
    assert state(client, "from") == ["1000"]
    assert pause(pause=False) == 1
    assert int(state(client, "from")[0] or 0) > 1000, "nothing of the pause is made up for"


def test_one_that_begins_paused(client: redis.Redis) -> None:
    put(client, paused=True)
    assert state(client, "paused") != [None]


def test_a_deleted_schedule_leaves_nothing(client: redis.Redis) -> None:
    def delete(name: str) -> Any:
        return run(client, lua.cron_delete(KEYS, name, 30_000))

    ready(client)
    tick(client)
    run(client, lua.cron_pause(KEYS, "s", pause=True))
    put(client, "other")
    assert delete("s") == 1
    assert not [one for one in client.hkeys(KEYS.cron) if str(one).endswith(":s")]
    assert delete("s") == 0
    assert delete("other") == 1
    assert types_left(client) == {"jobs": "stream"}


def test_one_that_a_worker_has_is_not_deleted(client: redis.Redis) -> None:
    put(client, declared=True)
    assert run(client, lua.cron_delete(KEYS, "s", 30_000)) == -1
    client.hset(KEYS.cron, "seen:s", 1000)
    assert run(client, lua.cron_seen(KEYS, ["s", "none"])) == 1
    assert run(client, lua.cron_delete(KEYS, "s", 30_000)) == -1
    client.hset(KEYS.cron, "seen:s", 1000)
    assert run(client, lua.cron_delete(KEYS, "s", 30_000)) == 1
    assert client.keys("*") == []


def test_a_worker_does_not_bring_back_what_was_deleted(client: redis.Redis) -> None:
    assert run(client, lua.cron_seen(KEYS, ["s"])) == 0
    assert client.keys("*") == []


def test_a_job_now(client: redis.Redis) -> None:
    ready(client)
    id = run(client, lua.cron_run(KEYS, version(client), "s", JOB))
    assert ids_of(client) == [id]
    assert state(client, "job", "from", "tick") == [id, "1000", None]
    assert run(client, lua.cron_run(KEYS, b"1", "s", JOB)) is None
    assert len(ids_of(client)) == 1


@pytest.mark.parametrize(
    "call",
    [
        lua.cron_put(KEYS, b"", "s", b"{}", b"{}", "r", declared=False),
        lua.cron_pause(KEYS, "s", pause=True),
        lua.cron_delete(KEYS, "s", 0),
        lua.cron_run(KEYS, b"", "s", JOB),
    ],
    ids=["put", "pause", "delete", "run"],
)
def test_a_key_of_another_type_is_left_alone(client: redis.Redis, call: lua.Call) -> None:
    client.set(KEYS.cron, "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        run(client, call)
    assert types_left(client) == {KEYS.cron: "string"}


# -- how workers hear of it -------------------------------------------------------


def test_the_look_at_jobs_for_later_tells_the_version(client: redis.Redis) -> None:
    def heard() -> Any:
        return run(client, lua.due(KEYS, 1))[2]

    assert heard() is None
    put(client)
    assert heard() == version(client).decode()
    client.set(KEYS.cron, "x")
    assert heard() is None, "jobs for later do not suffer"
