"""redrive.lua: dead letters back to their stream, for the group that failed them."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest
import redis

from streamq.wire.entry import decode, decode_data
from tests.lua.support import (
    Group,
    add,
    dead,
    ids_of,
    not_ours,
    raw_entries,
    succeeded,
    types_left,
    write,
)
from tests.servers import RedisServer

Fields = list[tuple[str, str]]


@pytest.fixture
def group(client: redis.Redis) -> Group:
    return Group(client)


def write_pairs(client: redis.Redis, fields: Fields) -> str:
    """Write an entry of these fields."""
    return write(client, *(part for pair in fields for part in pair))


def make_dead_letters(group: Group, *ids: str) -> list[str]:
    """Let entries die, and return the IDs of their letters."""
    group.read("a")
    assert group.settle("a", *map(dead, ids)) == {}
    return [letter for letter, _ in group.letters()]


@pytest.mark.parametrize("size", [1, 8, 100])
def test_letters_become_entries_for_the_group(group: Group, client: redis.Redis, size: int) -> None:
    ids = add(client, size)
    letters = make_dead_letters(group, *ids)
    new = group.redrive(*letters)
    assert new == ids_of(client)
    assert not set(new) & set(ids)
    fields = [fields for _, fields in raw_entries(client, "jobs")]
    assert fields[-1] == [
        ("type", "t"), ("data", f'{{"n":{size - 1}}}'), ("for", "g"), ("origin", ids[-1]),
    ]  # fmt: skip
    assert types_left(client) == {"jobs": "stream"}


@pytest.mark.parametrize("traceback", ["", "a\nb"])
def test_a_traceback_is_not_sent_back_and_one_of_the_entrys_own_is(
    group: Group, client: redis.Redis, traceback: str
) -> None:
    own = [("traceback", "mine"), ("type", "t"), ("data", "{}")]
    id = write_pairs(client, own)
    group.read("a")
    assert group.settle("a", dead(id, traceback=traceback)) == {}
    [(letter, _)] = group.letters()
    [new] = group.redrive(letter)
    assert raw_entries(client, "jobs") == [(new, [*own, ("for", "g"), ("origin", id)])]


def test_a_letter_without_its_entry_stays(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read("a")
    client.xdel("jobs", id)
    assert group.settle("a", dead(id, traceback="a\nb")) == {}
    [(letter, _)] = group.letters()
    assert group.redrive(letter) == ["!empty"]


def test_it_can_die_and_be_sent_again(group: Group, client: redis.Redis) -> None:
    """The origin is that of the first time; nothing piles up."""
    id = write_pairs(client, [("type", "t"), ("data", "{}"), ("key", "k"), ("expires", "7")])
    again = id
    for _ in range(3):
        [letter] = make_dead_letters(group, again)
        [again] = group.redrive(letter)
    [(_, fields)] = raw_entries(client, "jobs")
    assert fields == [
        ("type", "t"), ("data", "{}"), ("key", "k"), ("expires", "7"),
        ("for", "g"), ("origin", id),
    ]  # fmt: skip
    assert group.read() == [again]
    assert group.settle("a", succeeded(again)) == {}
    assert types_left(client) == {"jobs": "stream"}


def test_other_groups_settle_it_unseen(group: Group, client: redis.Redis) -> None:
    other = Group(client, "other")
    [id] = add(client)
    other.read()
    other.settle("a", succeeded(id))
    [letter] = make_dead_letters(group, id)
    [new] = group.redrive(letter)
    assert other.read() == [new]
    assert other.settle("a", not_ours(new, "g")) == {}
    assert group.read() == [new]
    assert group.settle("a", succeeded(new)) == {}
    assert types_left(client) == {"jobs": "stream"}


def test_an_entry_for_a_group_that_was_missing_is_for_it_still(
    group: Group, client: redis.Redis
) -> None:
    id = write_pairs(client, [("type", "t"), ("data", "{}"), ("for", "images")])
    group.read("a")
    group.settle("a", not_ours(id, "images"))
    [(letter, _)] = group.letters()
    group.redrive(letter)
    [(_, fields)] = raw_entries(client, "jobs")
    assert ("for", "images") in fields


@pytest.mark.parametrize(
    "own",
    [
        [("file", "a.png"), ("action", "resize")],
        [("type", "t"), ("file", "a.png")],
        [("id", "7"), ("reason", "r"), ("error", "e"), ("attempts", "9"), ("consumer", "c")],
        [("for", "me"), ("origin", "here"), ("type", "t"), ("key", "k"), ("trace", "x")],
        [("quote", '"\\/'), ("control", "\x00\x1b\x7f"), ("text", "é€😀"), ("", "")],
        [("1", "one"), ("2", "two")],
        [("type", "only")],
    ],
)
def test_a_foreign_entry_is_the_same_job_again(
    group: Group, client: redis.Redis, own: Fields
) -> None:
    id = write_pairs(client, own)
    [letter] = make_dead_letters(group, id)
    [new] = group.redrive(letter)
    [(found, fields)] = raw_entries(client, "jobs")
    assert found == new
    type_before, _, data_before, _ = decode([part.encode() for pair in own for part in pair])
    type_after, raw, _, meta = decode([part.encode() for pair in fields for part in pair])
    assert type_after == type_before
    assert raw is not None
    assert decode_data(raw) == data_before
    assert meta == {b"for": b"g", b"origin": id.encode()}


@pytest.mark.parametrize(
    "own",
    [
        [("id", "7"), ("reason", "r"), ("type", "t"), ("data", "[1]"), ("error", "e")],
        [("data", "not json")],
        [("type", "t"), ("data", orjson.dumps("x" * 100_000).decode())],
    ],
)
def test_a_native_entry_keeps_its_fields(group: Group, client: redis.Redis, own: Fields) -> None:
    id = write_pairs(client, own)
    [letter] = make_dead_letters(group, id)
    group.redrive(letter)
    [(_, fields)] = raw_entries(client, "jobs")
    assert fields == [*own, ("for", "g"), ("origin", id)]


def test_bytes_survive(group: Group, server: RedisServer) -> None:
    data = bytes(range(256))
    with server.client(decode_responses=False) as raw:
        id = raw.xadd("jobs", {b"type": b"t", b"data": data, b"\xff": b"\x00"})
        raw.xreadgroup("g", "a", {"jobs": ">"})
        group.settle("a", dead(id.decode()))
        [(letter, _)] = raw.xrange(group.keys.dlq)
        group.redrive(letter.decode())
        [(_, fields)] = raw.xrange("jobs")
        assert fields[b"data"] == data
        assert fields[b"\xff"] == b"\x00"


def test_an_entry_with_too_many_fields_for_a_command_of_lua(
    group: Group, client: redis.Redis
) -> None:
    id = write_pairs(client, [(f"f{n}", str(n)) for n in range(10_000)])
    [letter] = make_dead_letters(group, id)
    assert len(group.redrive(letter)) == 1
    [(_, fields)] = raw_entries(client, "jobs")
    assert len(orjson.loads(dict(fields)["data"])) == 10_000


def test_unknown_and_empty_letters_are_said(group: Group, client: redis.Redis) -> None:
    gone, kept = add(client, 2)
    group.read("a")
    client.xdel("jobs", gone)
    empty, full = make_dead_letters(group, gone, kept)
    answers = group.redrive("1-1", empty, full, full)
    assert answers[:2] == ["", "!empty"]
    assert answers[3] == ""
    assert ids_of(client) == [answers[2]]
    assert [letter for letter, _ in group.letters()] == [empty]


def test_no_letters_at_all(group: Group, client: redis.Redis) -> None:
    assert group.redrive("1-1") == [""]
    assert types_left(client) == {"jobs": "stream"}


@pytest.mark.parametrize("key", ["stream", "dlq"])
def test_wrong_key_types_are_refused(group: Group, client: redis.Redis, key: str) -> None:
    [id] = add(client)
    [letter] = make_dead_letters(group, id)
    name = getattr(group.keys, key)
    client.delete(name)
    client.set(name, "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        group.redrive(letter)
    if key == "stream":
        assert len(group.letters()) == 1


def test_it_writes_so_it_is_refused_when_memory_is_short(
    make_server: Callable[..., RedisServer],
) -> None:
    with make_server().client() as client:
        group = Group(client)
        [id] = add(client)
        [letter] = make_dead_letters(group, id)
        client.config_set("maxmemory", "1")
        with pytest.raises(redis.ResponseError, match=r"OOM|maxmemory"):
            group.redrive(letter)
        assert len(group.letters()) == 1
