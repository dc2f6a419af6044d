"""Which slot a command is for, by its packed words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from streamq import lua
from streamq.server.packing import Arg, pack
from streamq.server.topology.cluster.packed import first_slot, split
from streamq.wire.keys import group_keys, stream_keys
from streamq.wire.slots import slot_of


@given(st.binary(), st.binary(), st.binary())
def test_slots_are_those_of_every_client(before: bytes, tag: bytes, after: bytes) -> None:
    for key in (before, b"{" + tag + b"}", before + b"{" + tag + b"}" + after):
        assert slot_of(key) == key_slot(key)


@pytest.mark.parametrize("stream", ["jobs", "{eu}:jobs", "a{b}c", "übung"])
def test_all_keys_of_a_stream_share_its_slot(stream: str) -> None:
    keys, group = stream_keys(stream), group_keys(stream, "g")
    for key in (
        keys.scheduled, keys.unique("{x}"), keys.data("0"), keys.settings, group.dlq,
        group.job("1-0"), group.result("1-0"), *group.flow,
    ):  # fmt: skip
        assert slot_of(key.encode()) == slot_of(stream.encode())


@pytest.mark.parametrize(
    "command",
    [
        ("XADD", "k", "*", "a", "b"), ("XINFO", "GROUPS", "k"), ("XGROUP", "CREATE", "k", "g", "0"),
        ("XREADGROUP", "GROUP", "STREAMS", "streams", "COUNT", 1, "STREAMS", "k", ">"),
        ("XREAD", "COUNT", 1, "STREAMS", "k", "0"), ("MEMORY", "USAGE", "k"), ("get", "k"),
        ("EVALSHA", "f" * 40, 2, "k", "l", "arg"), ("EVAL", "return\r\n1", 1, "k"),
        ("EVALSHA_RO", "f" * 40, 1, "k"), ("SSUBSCRIBE", "k"),
    ],
)  # fmt: skip
def test_the_key_of_a_command(command: tuple[Arg, ...]) -> None:
    assert first_slot(pack(command)) == slot_of(b"k")


@pytest.mark.parametrize(
    "command",
    [
        ("TIME",), ("SCAN", 0, "TYPE", "stream"), ("INFO", "memory"), ("CONFIG", "GET", "save"),
        ("WAIT", 1, 0), ("EVAL", "return 1", 0), ("PING",), ("CLUSTER", "SLOTS"),
    ],
)  # fmt: skip
def test_a_command_without_a_key(command: tuple[Arg, ...]) -> None:
    assert first_slot(pack(command)) is None


def test_the_key_of_a_script() -> None:
    call = lua.progress("jobs", 10)
    assert first_slot(pack(call.evalsha())) == first_slot(pack(call.eval())) == slot_of(b"jobs")


def test_what_comes_first_may_have_no_key() -> None:
    packed = pack(("TIME",)) + pack(("GET", "k")) + pack(("GET", "l"))
    assert first_slot(packed) == slot_of(b"k")


@given(st.lists(st.lists(st.binary(), min_size=2, max_size=4), max_size=5))
def test_packed_commands_are_split_where_they_were_joined(words: list[list[bytes]]) -> None:
    commands = [pack(("SET", *some)) for some in words]
    assert split(b"".join(commands)) == [
        (command, slot_of(some[0])) for command, some in zip(commands, words, strict=True)
    ]
