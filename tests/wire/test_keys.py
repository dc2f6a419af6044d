"""The names of all keys."""

from __future__ import annotations

import re
from binascii import crc_hqx

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from redis.crc import key_slot

from streamq.errors import ConfigError
from streamq.wire.keys import (
    GroupKeys,
    StreamKeys,
    check_group,
    check_stream,
    group_keys,
    kind_of,
    stream_keys,
)


@pytest.mark.parametrize(
    ("stream", "prefix"),
    [
        ("jobs", "{jobs}"),
        ("eu:jobs", "{eu:jobs}"),
        ("{eu}:jobs", "{eu}:jobs"),
        ("a{b}c{d}", "a{b}c{d}"),
        ("a{b", "{a{b}"),
        ("{", "{{}"),
        ("}{b}", "}{b}"),
        ("été", "{été}"),
    ],
)
def test_all_keys_of_a_stream_share_its_slot(stream: str, prefix: str) -> None:
    keys, group = StreamKeys(stream), GroupKeys(stream, "images")
    assert keys.stream == group.stream == stream
    names = [
        keys.scheduled, keys.scheduled_jobs, keys.schedule_id("s-1"), keys.unique("k"),
        group.retry, group.dlq, group.reclaim_lock, group.job("1-1"),
    ]  # fmt: skip
    assert all(name.startswith(prefix + ":") for name in names)
    assert {key_slot(name.encode()) for name in names} == {key_slot(stream.encode())}
    assert len(set(names)) == len(names)


def test_the_names_of_the_keys() -> None:
    keys, group = stream_keys("jobs"), group_keys("jobs", "images")
    assert keys.scheduled == "{jobs}:scheduled"
    assert keys.scheduled_jobs == "{jobs}:scheduled:jobs"
    assert keys.schedule_id("s-1") == "{jobs}:scheduled:id:s-1"
    assert keys.unique("order-7") == "{jobs}:unique:order-7"
    assert group.retry == "{jobs}:group:images:retry"
    assert group.dlq == "{jobs}:group:images:dlq"
    assert group.reclaim_lock == "{jobs}:group:images:reclaim"
    assert group.job("1-1") == "{jobs}:group:images:job:1-1"
    assert keys.group("images") is group


@pytest.mark.parametrize("stream", ["jobs", "{eu}:jobs", "{eu}:scheduled:"])
def test_the_types_of_the_keys(stream: str) -> None:
    keys, group = stream_keys(stream), group_keys(stream, "images")
    kinds = {
        "stream": [stream, group.dlq],
        "zset": [keys.scheduled, group.retry],
        "hash": [keys.scheduled_jobs, group.job("1-1")],
        "string": [
            keys.unique("k"),
            keys.unique(":group:a:retry"),
            group.reclaim_lock,
            keys.schedule_id("s-1"),
        ],
    }
    for kind, names in kinds.items():
        assert [kind_of(name) for name in names] == [kind] * len(names)


@pytest.mark.parametrize("name", ["jobs", "a b", "é", "x" * 512, "{", "~", "jobs:dlq"])
def test_stream_names(name: str) -> None:
    assert check_stream(name) == name


@pytest.mark.parametrize(
    "name", ["", "x" * 513, "a\nb", "\x00", "a\x7f", "\x9b", "\ud800", "\u202e"]
)
def test_what_cannot_name_a_stream(name: str) -> None:
    with pytest.raises(ConfigError, match="is not a valid stream name") as caught:
        check_stream(name)
    str(caught.value).encode()
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError):
        StreamKeys(name)


@pytest.mark.parametrize("name", ["images", "A-1_b.c", "x" * 128])
def test_group_names(name: str) -> None:
    assert check_group(name) == name


@pytest.mark.parametrize(
    "name", ["", "x" * 129, "a b", "a:b", "é", "~retry", "a\n", "{a}", "\ud800"]
)
def test_what_cannot_name_a_group(name: str) -> None:
    with pytest.raises(ConfigError, match="is not a valid group name") as caught:
        check_group(name)
    str(caught.value).encode()
    with pytest.raises(ConfigError):
        GroupKeys("jobs", name)


@pytest.mark.parametrize("name", ["a}b", "}", "{}", "{}x", "a{}b", "}{", "{}{eu}"])
def test_braces_that_no_other_key_could_share_a_slot_with(name: str) -> None:
    with pytest.raises(ConfigError, match=r"is not a valid stream name: .* a hash tag"):
        check_stream(name)


@given(st.text("ab{}:", min_size=1, max_size=12), st.text("ab{}", min_size=1, max_size=4))
@example("a{b", "}")
def test_one_slot_for_all_keys_or_no_such_stream(name: str, key: str) -> None:
    try:
        keys = StreamKeys(name)
    except ConfigError:
        assert "}" in name  # and no other name is refused
        return
    group = keys.group("images")
    names = [
        keys.scheduled, keys.scheduled_jobs, keys.unique(key), group.retry, group.dlq,
        group.reclaim_lock, group.job("1-1"),
    ]  # fmt: skip
    assert {slot(name) for name in names} == {slot(name)}
    assert name not in names


def slot(key: str) -> int:
    """A key's slot by the letter of the Cluster's specification."""
    tag = re.match(r"[^{]*\{([^}]+)\}", key, re.DOTALL)
    return crc_hqx((tag[1] if tag else key).encode(), 0) % 16384
