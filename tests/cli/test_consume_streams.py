"""``streamq consume`` for several streams that share the slots of a group."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import redis

from streamq.cli.consume.streams import read_streams
from streamq.errors import ConfigError
from tests.cli.support import Program, Result

Run = Callable[..., Result]
Start = Callable[..., Program]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ([], []),
        (["jobs"], ["jobs"]),
        (["orders:2024"], ["orders:2024"]),  # alone: its name
        (["urgent", "jobs"], ["urgent", "jobs"]),
        (["urgent:9", "jobs:1"], {"urgent": 9, "jobs": 1}),
        (["orders:2024:9", "orders:2023:1"], {"orders:2024": 9, "orders:2023": 1}),
        (["{jobs:0}", "{jobs:1}"], ["{jobs:0}", "{jobs:1}"]),
        (["a:b", "c:"], ["a:b", "c:"]),
    ],
)
def test_streams_and_weights(given: Sequence[str], read: Sequence[str] | Mapping[str, int]) -> None:
    assert read_streams(given, strict=False) == read


@pytest.mark.parametrize(
    ("given", "strict", "said"),
    [
        (["urgent:9", "jobs"], False, "--stream jobs has no weight and others have"),
        (["urgent:0", "jobs:1"], False, "--stream urgent:0: a weight is 1 to 1,000,000"),
        (["urgent:9", "urgent:1"], False, "--stream urgent:1: that stream is there twice"),
        (["urgent:9", "jobs:1"], True, "--strict goes by the order of the streams: leave out"),
        (["urgent"], True, "--strict goes by the order of the streams: give --stream for each"),
        ([], True, "give --stream for each"),
    ],
)
def test_what_cannot_be(given: Sequence[str], strict: bool, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_streams(given, strict=strict)


def test_a_mistake_is_one_line(streamq: Run) -> None:
    code, out, err = streamq("consume", "-s", "urgent:9", "-s", "jobs")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "--stream jobs has no weight" in err


def backlog(client: redis.Redis, **counts: int) -> None:
    for stream, count in counts.items():
        for _ in range(count):
            client.xadd(stream, {"type": "t", "data": json.dumps({"from": stream})})


def printed(program: Program) -> list[Any]:
    code, out, err = program.end()
    assert code == 0, err
    return [json.loads(line.partition(" with payload ")[2])["from"] for line in out.splitlines()]


def test_by_weight(start: Start, client: redis.Redis) -> None:
    backlog(client, urgent=100, bulk=100)
    streams = printed(
        start(
            "consume", "-s", "urgent:9", "-s", "bulk:1", "--burst", "-c", "1",
            "--metrics-port", "0",
        )
    )  # fmt: skip
    assert streams[:50].count("urgent") == 45
    assert len(streams) == 200


def test_strictly(start: Start, client: redis.Redis) -> None:
    backlog(client, urgent=30, bulk=30)
    program = start(
        "consume", "-s", "urgent", "-s", "bulk", "--strict", "--burst", "--metrics-port", "0"
    )
    assert printed(program) == ["urgent"] * 30 + ["bulk"] * 30


def test_the_log_says_how_they_share(start: Start, client: redis.Redis) -> None:
    weighted = ("consume", "-s", "urgent:9", "-s", "bulk:1", "--burst", "--metrics-port", "0")
    assert "urgent as default (weight 9), bulk as default (weight 1)" in start(*weighted).end().err
    strict = ("consume", "-s", "urgent", "-s", "bulk", "--strict", "--burst", "--metrics-port", "0")
    assert "urgent as default, bulk as default, in this order" in start(*strict).end().err
