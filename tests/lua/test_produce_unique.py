"""produce_unique.lua: what makes a key free, and what happens to a job that finds it taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from streamq import lua
from streamq.wire.keys import stream_keys
from tests.lua.support import Group, add, failed, ids_of, raw_entries, run, succeeded, types_left
from tests.servers import RedisServer

KEYS = stream_keys("jobs")
HOUR = 3_600_000
KEY_TTL, MEMORY = 500_000, 60_000


def produce(
    client: redis.Redis, name: str = "s-1", when: tuple[str, int] = ("now", 0), *,
    until: str = "settled", on_conflict: str = "keep", data: str = "{}", key: str = "k",
) -> Any:  # fmt: skip
    call = lua.produce_unique(
        KEYS, name, when, key, KEY_TTL, MEMORY, until, on_conflict, ("type", "t", "data", data)
    )
    return run(client, call)


def promote(client: redis.Redis) -> None:
    found = run(client, lua.due(KEYS, 100))[3:]
    pairs = [(a.encode(), b.encode()) for a, b in zip(found[::2], found[1::2], strict=True)]
    run(client, lua.promote(KEYS, pairs, HOUR))


def data_of(client: redis.Redis) -> list[str]:
    return [dict(fields)["data"] for _, fields in raw_entries(client, "jobs")]


def holder(client: redis.Redis, key: str = "k") -> Any:
    return client.get(KEYS.unique(key))


@pytest.fixture
def group(client: redis.Redis) -> Group:
    return Group(client)


# -- until it is settled ----------------------------------------------------------


def test_a_key_is_taken_until_its_job_is_settled(client: redis.Redis, group: Group) -> None:
    id, made = produce(client, "s-1")
    assert made == 1
    assert produce(client, "s-2") == [id, 0, None]
    assert group.read("a") == [id]
    assert produce(client, "s-3") == [id, 0, None]
    assert group.settle("a", succeeded(id)) == {}
    other, made = produce(client, "s-4")
    assert made == 1
    assert other != id
    assert ids_of(client) == [other]
    assert 0 < int(client.pttl(KEYS.unique("k"))) <= KEY_TTL


def test_one_group_that_has_not_settled_it_keeps_it(client: redis.Redis, group: Group) -> None:
    slow = Group(client, "slow")
    id, _ = produce(client)
    group.read("a")
    group.settle("a", succeeded(id))
    assert produce(client, "s-2") == [id, 0, None]
    slow.read("a")
    assert produce(client, "s-3") == [id, 0, None]
    slow.settle("a", failed(id, delay=HOUR))
    assert produce(client, "s-4") == [id, 0, None]
    client.xack("jobs", "slow", id)  # by hand: the entry stays, but nobody has it to do
    assert ids_of(client) == [id]
    assert produce(client, "s-5")[1] == 1


def test_an_entry_that_is_only_retained_keeps_no_key(client: redis.Redis, group: Group) -> None:
    client.xgroup_create("jobs", "~retain", "0")
    id, _ = produce(client)
    group.read("a")
    assert produce(client, "s-2") == [id, 0, None]
    group.settle("a", succeeded(id))
    assert ids_of(client) == [id]
    assert produce(client, "s-3")[1] == 1


def test_without_a_group_it_is_queued(client: redis.Redis) -> None:
    id, _ = produce(client)
    assert produce(client, "s-2") == [id, 0, None]


@pytest.mark.parametrize("how", ["entry", "stream", "trimmed"])
def test_a_key_whose_job_is_gone_is_free(client: redis.Redis, group: Group, how: str) -> None:
    id, _ = produce(client)
    if how == "entry":
        client.xdel("jobs", id)
    elif how == "trimmed":
        client.xtrim("jobs", maxlen=0, approximate=False)
    else:
        client.delete("jobs")
    assert produce(client, "s-2")[1] == 1


@pytest.mark.parametrize(
    "value", ["", "s-gone", "x", "1-1", f"{10**30}-1", f"{2**64}-{2**64}", "1-1 \r\n x", "-", "+"]
)
@pytest.mark.parametrize("on_conflict", ["keep", "error", "replace"])
def test_a_key_that_leads_nowhere_is_free(
    client: redis.Redis, group: Group, value: str, on_conflict: str
) -> None:
    add(client)
    client.set(KEYS.unique("k"), value)
    id, made = produce(client, on_conflict=on_conflict)
    assert (made, holder(client)) == (1, id)


def test_a_schedule_that_waits_has_its_key(client: redis.Redis, group: Group) -> None:
    assert produce(client, "s-1", ("in", HOUR))[:2] == ["s-1", 1]
    due = f"{client.zscore(KEYS.scheduled, 's-1'):.0f}"
    assert produce(client, "s-2") == ["s-1", 0, due]
    run(client, lua.reschedule(KEYS, "s-1", ("at", 1), "k"))
    promote(client)
    [id] = ids_of(client)
    assert produce(client, "s-3") == [id, 0, None]
    group.read("a")
    group.settle("a", succeeded(id))
    assert produce(client, "s-4")[1] == 1


def test_a_schedule_that_vanished_has_no_key(client: redis.Redis) -> None:
    """Somebody has deleted what was scheduled, and not the key."""
    produce(client, "s-1", ("in", HOUR))
    client.delete(KEYS.scheduled, KEYS.scheduled_jobs)
    assert produce(client, "s-2")[1] == 1


def test_time_alone_remembers_what_is_settled(client: redis.Redis, group: Group) -> None:
    id, _ = produce(client, until="time")
    group.read("a")
    group.settle("a", succeeded(id))
    assert produce(client, "s-2", until="time") == [id, 0, None]


# -- on conflict --------------------------------------------------------------------


def test_replace_gives_a_job_that_waits_the_new_data_and_the_new_time(
    client: redis.Redis,
) -> None:
    assert produce(client, "s-1", ("in", HOUR), data='{"n":1}', on_conflict="replace")[1] == 1
    id, made, due = produce(client, "s-2", ("in", 2 * HOUR), data='{"n":2}', on_conflict="replace")
    assert (id, made) == ("s-1", 2)
    assert client.zrange(KEYS.scheduled, 0, -1) == ["s-1"]
    assert f"{client.zscore(KEYS.scheduled, 's-1'):.0f}" == due
    assert 2 * HOUR < int(client.pttl(KEYS.unique("k"))) <= 2 * HOUR + KEY_TTL
    run(client, lua.reschedule(KEYS, "s-1", ("at", 1), "k"))
    promote(client)
    assert data_of(client) == ['{"n":2}']


def test_replace_without_a_time_lets_what_waits_be_due_now(client: redis.Redis) -> None:
    produce(client, "s-1", ("in", HOUR), data='{"n":1}')
    assert produce(client, "s-2", data='{"n":2}', on_conflict="replace")[:2] == ["s-1", 2]
    assert not client.exists("jobs")
    promote(client)
    assert data_of(client) == ['{"n":2}']


@pytest.mark.parametrize("until", ["time", "settled"])
def test_a_job_in_the_stream_does_not_swallow_what_is_new(
    client: redis.Redis, group: Group, until: str
) -> None:
    first, _ = produce(client, "s-1", data='{"n":1}', until=until, on_conflict="replace")
    group.read("a")
    assert produce(client, "s-2", ("in", HOUR), data='{"n":2}', until=until, on_conflict="replace")[
        :2
    ] == ["s-2", 1]
    assert holder(client) == "s-2"
    assert ids_of(client) == [first]
    again = produce(client, "s-3", ("in", HOUR), data='{"n":3}', until=until, on_conflict="replace")
    assert again[:2] == ["s-2", 2]
    run(client, lua.reschedule(KEYS, "s-2", ("at", 1), "k"))
    promote(client)
    assert data_of(client) == ['{"n":1}', '{"n":3}']
    assert holder(client) == ids_of(client)[1]


def test_error_says_which_job_has_the_key(client: redis.Redis) -> None:
    id, _ = produce(client, "s-1", on_conflict="error")
    with pytest.raises(redis.ResponseError, match=f"^KEYTAKEN {id} $"):
        produce(client, "s-2", on_conflict="error")
    produce(client, "s-3", ("at", 4_000_000_000_000), on_conflict="error", key="later")
    with pytest.raises(redis.ResponseError, match=r"^KEYTAKEN s-3 4000000000000$"):
        produce(client, "s-4", on_conflict="error", key="later")
    assert ids_of(client) == [id]


# -- sent again ----------------------------------------------------------------------


@pytest.mark.parametrize("until", ["time", "settled"])
@pytest.mark.parametrize("on_conflict", ["keep", "replace", "error"])
def test_a_call_that_is_repeated_finds_the_entry_that_it_made(
    client: redis.Redis, group: Group, until: str, on_conflict: str
) -> None:
    def once() -> Any:
        return produce(client, "s-1", until=until, on_conflict=on_conflict)

    id, made = once()
    assert (made, once()) == (1, [id, 3, None])
    group.read("a")
    group.settle("a", succeeded(id))
    assert once() == [id, 3, None]  # settled meanwhile, and not done again
    assert ids_of(client) == []
    assert 0 < int(client.pttl(KEYS.schedule_id("s-1"))) <= MEMORY


@pytest.mark.parametrize("on_conflict", ["keep", "replace", "error"])
def test_a_call_that_is_repeated_finds_the_schedule_that_it_made(
    client: redis.Redis, group: Group, on_conflict: str
) -> None:
    def once() -> Any:
        return produce(client, "s-1", ("in", HOUR), on_conflict=on_conflict)

    first = once()
    assert once() == ["s-1", 3, first[2]]
    run(client, lua.reschedule(KEYS, "s-1", ("at", 1), "k"))
    promote(client)
    [id] = ids_of(client)
    assert once() == [id, 3, None]
    group.read("a")
    group.settle("a", succeeded(id))
    assert once() == [id, 3, None]
    assert types_left(client) == {
        "jobs": "stream", KEYS.schedule_id("s-1"): "string", KEYS.unique("k"): "string",
    }  # fmt: skip


def test_a_replacement_that_is_repeated_neither_undoes_a_later_one_nor_runs_twice(
    client: redis.Redis,
) -> None:
    def replace(name: str) -> Any:
        return produce(client, name, ("in", HOUR), data=f'"{name}"', on_conflict="replace")

    replace("s-1")
    assert replace("s-2")[:2] == ["s-1", 2]
    replace("s-3")
    assert replace("s-2")[:2] == ["s-1", 4]
    run(client, lua.reschedule(KEYS, "s-1", ("at", 1), "k"))
    promote(client)
    assert data_of(client) == ['"s-3"']
    assert replace("s-3") == ["s-1", 4, None]
    assert replace("s-2") == ["s-1", 4, None]
    assert client.zcard(KEYS.scheduled) == 0
    assert len(ids_of(client)) == 1


# -- what may be in the way ------------------------------------------------------------


@pytest.mark.parametrize("when", [("now", 0), ("in", HOUR)])
@pytest.mark.parametrize(
    "name",
    ["jobs", KEYS.unique("k"), KEYS.schedule_id("s-1"), KEYS.scheduled, KEYS.scheduled_jobs],
)
def test_wrong_types_write_nothing(client: redis.Redis, name: str, when: tuple[str, int]) -> None:
    client.rpush(name, "x")
    if (name, when[0]) == ("jobs", "in"):
        assert produce(client, "s-1", when)[1] == 1  # it waits until the stream can be one
        return
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        produce(client, "s-1", when)
    assert types_left(client) == {name: "list"}


def test_nothing_is_promised_when_memory_is_short(
    make_server: Callable[..., RedisServer],
) -> None:
    with make_server().client() as client:
        client.config_set("maxmemory", "1")
        with pytest.raises(redis.ResponseError, match=r"OOM|maxmemory"):
            produce(client)
