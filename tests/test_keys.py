"""The names of all keys."""

from __future__ import annotations

import pytest
from redis.crc import key_slot

from streamq.errors import ConfigError
from streamq.keys import GroupKeys, StreamKeys, check_group, check_stream, group_keys, stream_keys


@pytest.mark.parametrize(
    ("stream", "prefix"),
    [
        ("jobs", "{jobs}"),
        ("eu:jobs", "{eu:jobs}"),
        ("{eu}:jobs", "{eu}:jobs"),
        ("a{b}c{d}", "a{b}c{d}"),
        ("été", "{été}"),
    ],
)
def test_all_keys_of_a_stream_share_its_slot(stream: str, prefix: str) -> None:
    keys, group = StreamKeys(stream), GroupKeys(stream, "images")
    assert keys.stream == group.stream == stream
    names = [
        keys.scheduled, keys.scheduled_jobs, keys.unique("k"), group.retry, group.dlq,
        group.sweep, group.job("1-1"),
    ]  # fmt: skip
    assert all(name.startswith(prefix + ":") for name in names)
    assert {key_slot(name.encode()) for name in names} == {key_slot(stream.encode())}
    assert len(set(names)) == len(names)


def test_the_names_of_the_keys() -> None:
    keys, group = stream_keys("jobs"), group_keys("jobs", "images")
    assert keys.scheduled == "{jobs}:scheduled"
    assert keys.scheduled_jobs == "{jobs}:scheduled:jobs"
    assert keys.unique("order-7") == "{jobs}:unique:order-7"
    assert group.retry == "{jobs}:group:images:retry"
    assert group.dlq == "{jobs}:group:images:dlq"
    assert group.sweep == "{jobs}:group:images:sweep"
    assert group.job("1-1") == "{jobs}:group:images:job:1-1"
    assert keys.group("images") is group


@pytest.mark.parametrize("name", ["jobs", "a b", "é", "x" * 512, "{}", "~", "jobs:dlq"])
def test_stream_names(name: str) -> None:
    assert check_stream(name) == name


@pytest.mark.parametrize(
    "name", ["", "x" * 513, "a\nb", "\x00", "a\x7f", "\x9b", "\ud800", "\u202e"]
)
def test_what_cannot_name_a_stream(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a stream") as caught:
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
    with pytest.raises(ConfigError, match="cannot name a group") as caught:
        check_group(name)
    str(caught.value).encode()
    with pytest.raises(ConfigError):
        GroupKeys("jobs", name)


@pytest.mark.parametrize("stream", ["a{}b", "{", "}", "{}", "}{"])
def test_a_name_with_braces_but_no_tag_has_keys_of_its_own(stream: str) -> None:
    assert group_keys(stream, "g").dlq != stream
    assert group_keys(stream, "g").dlq.endswith(":group:g:dlq")
