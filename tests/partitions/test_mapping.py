"""Which partition has which key: the same for ever, and for everybody."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamq import App, Partitioned
from streamq.errors import ConfigError
from streamq.partitions import Layout, hash_of
from streamq.wire.keys import partition_name, partition_of, stream_keys


@pytest.mark.parametrize(
    ("key", "number"),
    [("", 0), ("user-7", 2_537_939_745), ("ü", 1_675_192_789), ("a", 3_904_355_907)],
)
def test_a_key_has_the_same_number_for_ever(key: str, number: int) -> None:
    """Of whatever CRC-32 there is: jobs of a key would otherwise be in two partitions."""
    assert hash_of(key) == number


@given(st.text(max_size=40), st.integers(1, 64), st.integers(1, 16))
def test_no_key_moves_between_old_partitions(key: str, count: int, times: int) -> None:
    before, after = Layout("jobs", count).of(key), Layout("jobs", count * times).of(key)
    assert after == before or after >= count
    assert after % count == before


def test_keys_are_spread_evenly() -> None:
    counts = [0] * 8
    for n in range(8000):
        counts[Layout("jobs", 8).of(f"user-{n}")] += 1
    assert min(counts) > 900
    assert max(counts) < 1100


@pytest.mark.parametrize(
    ("stream", "name", "prefix"),
    [
        ("jobs", "{jobs:3}", "{jobs:3}"),
        ("{eu}:jobs", "{eu:3}:jobs", "{eu:3}:jobs"),
        ("a{b", "{a{b:3}", "{a{b:3}"),
        ("mails:7", "{mails:7:3}", "{mails:7:3}"),
    ],
)
def test_a_partition_has_a_slot_of_its_own(stream: str, name: str, prefix: str) -> None:
    assert partition_name(stream, 3) == name
    assert partition_of(name) == (stream, 3)
    assert stream_keys(name).settings == f"{prefix}:settings"


@pytest.mark.parametrize(
    "name", ["jobs", "{jobs}", "{jobs:x}", "{jobs:03}", "jobs:3", "{:3}", "{3}"]
)
def test_what_is_no_name_of_a_partition(name: str) -> None:
    assert partition_of(name) is None


def test_where_jobs_of_a_key_once_were() -> None:
    layout = Layout("jobs", 16, (0, 4, 8))
    assert [hash_of("d") % count for count in (4, 8, 16)] == [0, 4, 12]
    assert layout.once_of("d") == ["{jobs:4}", "{jobs:0}", "jobs"]
    assert layout.once_of("f") == ["jobs"]  # which is in {jobs:0} with each number
    assert Layout("jobs", 4).once_of("d") == []


@pytest.mark.parametrize("count", [0, -1, 1025, True, 2.0, "8"])
def test_numbers_of_partitions_that_cannot_be(count: Any) -> None:
    with pytest.raises(ConfigError, match=r"Partitioned\("):
        Partitioned(count)


@pytest.mark.parametrize("streams", [{"jobs": 8}, {"a\n": Partitioned(2)}])
def test_streams_that_cannot_be(streams: Any) -> None:
    with pytest.raises(ConfigError):
        App("redis://localhost", streams=streams)
