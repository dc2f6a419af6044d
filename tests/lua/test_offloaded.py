"""Data outside the stream: what the scripts keep, count and let go."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from streamq import lua
from streamq.wire.keys import stream_keys
from streamq.wire.offloaded import Ref, new_ref, parse_ref, ref_in_packed
from tests.lua.support import Group, Verdict, dead, failed, not_ours, run, succeeded

KEYS = stream_keys("jobs")
PLACE = "a" * 32
FIELDS = ("type", "t", "data", "", "ref", f"5:{PLACE}")


def offloaded(verdict: Verdict, place: str = PLACE) -> lua.Call:
    """Settle one job whose data is outside."""
    group = Group.__new__(Group)
    group.keys = KEYS.group("g")
    call = group.settle_call("a", [verdict])
    keys = [*call.keys[:4], KEYS.data_holders, KEYS.data_unheld, *call.keys[4:]]
    return call._replace(keys=keys, args=(*call.args[:7], "x", place, *call.args[7:]))


def add(client: redis.Redis, place: str = PLACE) -> str:
    fields = dict(zip(FIELDS[::2], FIELDS[1::2], strict=True)) | {"ref": f"5:{place}"}
    return str(client.xadd("jobs", fields))  # type: ignore[arg-type]  # narrower than need be


def holders(client: redis.Redis) -> dict[str, str]:
    found: Any = client.hgetall(KEYS.data_holders)
    return dict(found)


def unheld(client: redis.Redis) -> list[str]:
    found: Any = client.zrange(KEYS.data_unheld, 0, -1)
    return list(found)


@pytest.fixture
def group(client: redis.Redis) -> Group:
    return Group(client)


# -- settling -----------------------------------------------------------------


def test_the_last_entry_lets_it_go(group: Group, client: redis.Redis) -> None:
    id = add(client)
    group.read("a")
    assert run(client, offloaded(succeeded(id))) == []
    assert (holders(client), unheld(client)) == ({}, [PLACE])
    assert client.xlen("jobs") == 0


def test_not_while_another_group_has_the_entry(group: Group, client: redis.Redis) -> None:
    other = Group(client, "other")
    id = add(client)
    group.read("a")
    other.read("a")
    run(client, offloaded(succeeded(id)))
    assert unheld(client) == []
    assert other.settle("a", succeeded(id)) == {}
    assert client.xlen("jobs") == 0


def test_a_refused_verdict_counts_nothing(group: Group, client: redis.Redis) -> None:
    id = add(client)
    group.read("another")
    assert run(client, offloaded(succeeded(id))) == [1, "=another"]
    assert run(client, offloaded(dead(id))) == [1, "=another"]
    assert (holders(client), unheld(client)) == ({}, [])


def test_a_retry_counts_nothing(group: Group, client: redis.Redis) -> None:
    id = add(client)
    group.read("a")
    run(client, offloaded(failed(id)))
    assert (holders(client), unheld(client)) == ({}, [])


def test_an_entry_that_somebody_deleted_is_not_let_go_twice(
    group: Group, client: redis.Redis
) -> None:
    id = add(client)
    group.read("a")
    client.xdel("jobs", id)
    run(client, offloaded(succeeded(id)))
    assert unheld(client) == []


def test_letters_are_holders(group: Group, client: redis.Redis) -> None:
    other = Group(client, "other")
    id = add(client)
    group.read("a")
    other.read("a")
    run(client, offloaded(dead(id)))
    assert holders(client) == {PLACE: "2"}, "the entry and the letter"
    other.to_dead_letters(id)
    assert holders(client) == {PLACE: "2"}, "two letters, and the entry is gone"
    assert client.xlen("jobs") == 0
    [(first, _)] = group.letters()
    [(second, _)] = other.letters()
    [new] = group.redrive(first)
    assert holders(client) == {PLACE: "2"}, "an entry and a letter"
    call = lua.purge_offloaded(other.keys, [second, second], [PLACE, PLACE])
    assert run(client, call) == [1, 0]
    assert (holders(client), unheld(client)) == ({}, [])
    group.read("a")
    other.read("a")
    assert other.settle("a", succeeded(new)) == {}
    run(client, offloaded(succeeded(new)))
    assert (holders(client), unheld(client)) == ({}, [PLACE])


def test_an_entry_for_nobody(group: Group, client: redis.Redis) -> None:
    id = add(client)
    group.read("a")
    run(client, offloaded(not_ours(id, "nobody")))
    assert client.xlen("jobs") == 0
    assert (holders(client), unheld(client)) == ({}, []), "the letter has it"
    assert len(group.letters()) == 1


def test_a_worker_that_was_lost(group: Group, client: redis.Redis) -> None:
    id = add(client)
    group.read("a")
    group.age(id, 5000)
    _, [gone, *_], *_ = group.reclaim("b", deliveries=1)
    assert gone == id
    assert (holders(client), unheld(client)) == ({}, [])
    assert client.xlen("jobs") == 0


def test_what_only_a_deleted_group_had_kept(group: Group, client: redis.Redis) -> None:
    other = Group(client, "other")
    first, second = add(client), add(client, "b" * 32)
    other.read("a", 1)
    other.settle("a", succeeded(first))
    group.read("a")
    group.settle("a", succeeded(second))
    client.xgroup_destroy("jobs", "other")
    client.xack("jobs", "g", first)
    assert run(client, lua.prune("jobs", "-", 10)) == [2, ""]
    assert sorted(unheld(client)) == [PLACE, "b" * 32]


# -- written with its entry ---------------------------------------------------

DATA = KEYS.data(PLACE)


def test_both_or_neither(client: redis.Redis) -> None:
    call = lua.keep_data(lua.produce("jobs", FIELDS), DATA, b"\0data")
    id = run(client, call)
    assert client.xrange("jobs") == [(id, dict(zip(FIELDS[::2], FIELDS[1::2], strict=True)))]
    assert client.get(DATA) == "\0data"

    client.delete(DATA, "jobs")
    client.set("jobs", "no stream")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        run(client, call)
    assert not client.exists(DATA)


def test_around_a_script_that_writes_once(client: redis.Redis) -> None:
    call = lua.produce_once(KEYS, "k", 1000, FIELDS)
    id, created = run(client, lua.keep_data(call, DATA, b"1"))
    assert created == 1
    again = run(client, lua.keep_data(call, DATA, b"1"))
    assert again[:2] == [id, 0], "a call that is repeated"
    assert client.get(DATA) == "1"
    other = KEYS.data("b" * 32)
    assert run(client, lua.keep_data(call, other, b"2"))[:2] == [id, 0]
    assert not client.exists(other)


def test_around_a_schedule(client: redis.Redis) -> None:
    call = lua.schedule(KEYS, "s-1", ("in", 0), None, 1, FIELDS)
    run(client, lua.keep_data(call, DATA, b"1"))
    packed: Any = client.connection_pool.get_connection()
    packed.send_command("HGET", KEYS.scheduled_jobs, "s-1")
    found = ref_in_packed(packed.read_response(disable_decoding=True))
    client.connection_pool.release(packed)
    assert found == Ref(5, PLACE)
    run(client, lua.promote(KEYS, [(b"s-1", b"")], 60_000))
    assert client.get(DATA) == "1"
    assert client.xlen("jobs") == 1
    client.delete(DATA)  # done with, while the call is repeated
    assert run(client, lua.keep_data(call, DATA, b"1"))[1] == 3
    assert not client.exists(DATA)


def test_around_one_that_replaces_another(client: redis.Redis) -> None:
    def replace(name: str, place: str) -> Any:
        fields = ("type", "t", "data", "", "ref", f"5:{place}")
        call = lua.produce_unique(
            KEYS, name, ("in", 60_000), "k", 60_000, 60_000, "time", "replace", fields
        )
        return run(client, lua.keep_data(call, KEYS.data(place), b"1"))[:2]

    other = "b" * 32
    assert replace("s-1", PLACE) == ["s-1", 1]
    assert replace("s-2", other) == ["s-1", 2]
    assert unheld(client) == [PLACE]
    assert client.exists(KEYS.data(other))
    assert replace("s-2", other) == ["s-1", 4]
    assert unheld(client) == [PLACE]
    assert client.exists(KEYS.data(other))


# -- an event with its data ---------------------------------------------------


def emitting(id: str, target: str, data: str) -> lua.Call:
    call = Group.settle_call(_group(), "a", [succeeded(id)])
    more = (target, data)
    event = ("E", len(FIELDS), b"1", *FIELDS)
    return call._replace(keys=(*call.keys, *more), args=(*call.args[:7], *event, *call.args[7:]))


def _group() -> Group:
    group = Group.__new__(Group)
    group.keys = KEYS.group("g")
    return group


def test_an_event_and_its_data(group: Group, client: redis.Redis) -> None:
    id = str(client.xadd("jobs", {"a": "1"}))
    group.read("a")
    assert run(client, emitting(id, "jobs", DATA)) == []
    assert client.get(DATA) == "1"
    [(_, fields)] = client.xrange("jobs")  # type: ignore[misc]  # redis-py's
    assert fields == dict(zip(FIELDS[::2], FIELDS[1::2], strict=True))


@pytest.mark.parametrize("wrong", ["target", "data"])
def test_no_event_no_data(wrong: str, group: Group, client: redis.Redis) -> None:
    id = str(client.xadd("jobs", {"a": "1"}))
    group.read("a")
    if wrong == "target":
        client.set("others", "no stream")
        assert run(client, emitting(id, "others", DATA)) == [1, "!emit"]
        assert not client.exists(DATA)
    else:
        other = Group(client, stream="others")
        other.read("a")
        client.xdel("jobs", id)
        client.xack("jobs", "g", id)
        assert run(client, emitting(id, "others", DATA)) == [1, ""]
        assert not client.exists("{others}:data:" + PLACE, DATA)


# -- the form -----------------------------------------------------------------


def test_a_ref() -> None:
    for in_store in (True, False):
        ref = new_ref(7, in_store=in_store)
        assert parse_ref(ref.value.encode()) == ref
        assert ref.in_store is in_store
        assert len(ref.name) == 32
    for wrong in (b"", b"5:", b"x", b"5:../../x", b"-1:" + b"a" * 32, b"5:store:b", None):
        assert parse_ref(wrong) is None
