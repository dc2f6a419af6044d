"""``streamq stream``, ``group rewind`` and ``replay``: what is kept, and run again."""

from __future__ import annotations

import json
from collections.abc import Callable

import anyio
import redis

from tests.cli.support import Result
from tests.servers import RedisServer
from tests.situations import GROUP, add, entries, read, succeed

Streamq = Callable[..., Result]


def kept(streamq: Streamq, client: redis.Redis, server: RedisServer, count: int = 3) -> list[str]:
    """Jobs that are settled, and kept."""
    assert streamq("stream", "set", "jobs", "--retain", "7d").code == 0
    ids = [add(client, {"a": "b"}) for _ in range(count)]
    anyio.run(succeed, server.unix_url)
    return ids


def test_settings(streamq: Streamq, client: redis.Redis) -> None:
    assert streamq("stream", "show").out.split() == ["retain", "off", "abandon", "after", "off"]
    result = streamq("stream", "set", "jobs", "--retain", "7d", "--abandon-after", "3d")
    assert result == (0, "retain         7 d\nabandon after  3 d\n", "")
    result = streamq("stream", "set", "--abandon-after", "off", "--group", "audit", "--json")
    assert json.loads(result.out) == {
        "retain": 604800.0, "abandon_after": 259200.0, "abandon_group_after": {"audit": 0.0},
        "abandoned": {}, "partitions": None, "growing": None,
    }  # fmt: skip
    assert "abandon audit after  off" in streamq("stream", "show", "jobs").out
    assert streamq("stream", "set", "--retain", "off").out.startswith("retain               off\n")


def test_settings_that_cannot_be(streamq: Streamq) -> None:
    for args, said in (
        ((), "nothing to set"),
        (("--retain", "soon"), "is not a duration: give 12h, 7d, or off"),
        (("--retain", "1d", "--group", "audit"), "--group is for --abandon-after"),
        (("--abandon-after", "1d", "--group", "my group"), "not a valid group name"),
    ):
        result = streamq("stream", "set", "jobs", *args)
        assert (result.code, result.out) == (2, "")
        assert said in result.err


def test_info_tells_of_retention_and_of_abandoned_groups(
    streamq: Streamq, client: redis.Redis, server: RedisServer
) -> None:
    kept(streamq, client, server)
    client.hset("{jobs}:settings", mapping={"abandoned:audit": 1000, "given_up:audit": 1234})
    out = streamq("info").out
    assert "jobs: 3 entries, settled ones kept for 7 d\n" in out
    assert "~retain" not in out
    assert "\nThe group audit is abandoned since 1970-" in out
    assert "1,234 unread jobs were given up" in out


def test_rewind_asks_and_tells(streamq: Streamq, client: redis.Redis, server: RedisServer) -> None:
    ids = kept(streamq, client, server)
    result = streamq("group", "rewind", GROUP, "--to", "0")
    assert (result.code, result.out) == (2, "")
    assert "Run 3 jobs of the group images again?" in result.err
    result = streamq("group", "rewind", GROUP, "--to", ids[0], "--yes")
    assert result == (0, f"The group images of jobs runs 2 jobs again, after {ids[0]}\n", "")
    assert read(client, "web-1", 9) == ids[1:]
    result = streamq("group", "rewind", GROUP, "--to", "0", "--yes")
    assert result.code == 1
    assert "its consumer web-1 is alive" in result.err
    result = streamq("group", "rewind", GROUP, "--to", "0", "--yes", "--force")
    assert result.out.splitlines()[1] == "Of these, 2 were pending"


def test_a_rewind_that_cannot_be(streamq: Streamq, client: redis.Redis) -> None:
    assert streamq("group", "rewind", GROUP, "--to", "0").code == 1
    streamq("group", "create", GROUP)
    assert streamq("group", "rewind", GROUP, "--to", "2030-01-01T00:00Z").code == 2
    assert streamq("group", "rewind", GROUP, "--to", "noon").code == 2
    assert streamq("group", "rewind", GROUP).code == 2


def test_a_group_from_a_time_on(streamq: Streamq, client: redis.Redis, server: RedisServer) -> None:
    ids = kept(streamq, client, server)
    assert streamq("group", "create", "audit", "--from", "2020-01-01T00:00Z").code == 0
    assert read(client, "a", 9, "audit") == ids
    result = streamq("group", "create", "other", "--from", "2020-01-01")
    assert (result.code, result.out) == (2, "")
    assert "has no time zone" in result.err


def test_replay(streamq: Streamq, client: redis.Redis, server: RedisServer) -> None:
    ids = kept(streamq, client, server)
    result = streamq("replay", ids[0], "1-1")
    assert result.code == 1
    new = list(entries(client))[-1]
    assert result.out == f"Replayed {ids[0]} as {new}\n"
    assert "1-1: the stream has no such entry" in result.err
    [row] = streamq("replay", ids[1], "--group", GROUP, "--json").out.splitlines()
    assert json.loads(row)["id"] == ids[1]
    assert streamq("replay", "x").code == 2
    assert streamq("replay", ids[1], "--group", "audit").code == 1
