"""Whatever is in the server, no command prints what a terminal would obey."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import NamedTuple

import pytest
import redis

from streamq import App
from tests.cli.support import Program, Result, at_terminal
from tests.lua.support import command
from tests.servers import RedisServer

EVIL = "\x1b]0;owned\x07\x1b[5;45m\r\x00\x7f\x9b2J\x9d\u202e\u2066\u200f\u061c\u2028\ud7ff"
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
COLOURS = re.compile("\x1b\\[[0-9;]*[mK]|\r")
"""What rich itself writes to a terminal."""


def assert_safe(result: Result) -> None:
    """It printed something, and none of it steers a terminal."""
    assert result.out
    for text in result[1:]:
        found = OBEYED.search(text)
        assert found is None, text[max(found.start() - 60, 0) : found.end() + 20]


class Ids(NamedTuple):
    """Jobs whose every field is evil."""

    pending: str
    dead: str
    done: str


@pytest.fixture
def ids(server: RedisServer, client: redis.Redis) -> Ids:
    """Jobs, groups, consumers, errors and records as an enemy would write them."""
    written = [
        str(command(client, "XADD", "jobs", "*", "type", EVIL, "data", json.dumps({EVIL: EVIL})))
        for _ in range(3)
    ]
    pending, dead, done = written
    raw = str(command(client, "XADD", "jobs", "*", "type", EVIL, "data", EVIL, "origin", EVIL))
    for group in ("images", EVIL):
        command(client, "XGROUP", "CREATE", "jobs", group, "0")
    command(client, "XREADGROUP", "GROUP", "images", EVIL, "STREAMS", "jobs", ">")
    command(client, "XCLAIM", "jobs", "images", "~retry", 0, raw, "JUSTID")
    command(client, "ZADD", "{jobs}:group:images:retry", 0, raw)
    record = "{jobs}:group:images:job:"
    command(client, "HSET", record + raw, "error", EVIL, "deliveries", EVIL, "failed_at", EVIL)
    command(client, "HSET", record + pending, "error", EVIL, "deliveries", "3")
    command(client, "XACK", "jobs", "images", dead, done)
    command(
        client, "XADD", "{jobs}:group:images:dlq", "*", "id", dead, "reason", EVIL, "error", EVIL,
        "attempts", "1", "consumer", EVIL, "type", EVIL, "data", EVIL, "origin", EVIL,
    )  # fmt: skip
    command(client, "XADD", "{jobs}:group:images:dlq", "*", EVIL, EVIL)
    command(
        client, "HSET", record + done, "state", "succeeded", "type", EVIL, "data", EVIL, "note",
        EVIL, "result", json.dumps({EVIL: EVIL}), "attempts", "1", "consumer", EVIL,
    )  # fmt: skip
    command(client, "XADD", f"a{EVIL}", "*", "a", "b")
    command(client, "XADD", "{jobs}:group:left:dlq", "*", "a", EVIL)
    return Ids(pending, dead, done)


LOOKS = [
    ["info"], ["group", "list"], ["pending"], ["pending", "--group", "images"],
    ["status", "{pending}"], ["status", "{dead}"], ["status", "{done}"], ["dlq", "list"],
    ["dlq", "list", "--newest", "--group", "images"], ["dlq", "show", "{dead}"],
]  # fmt: skip


@pytest.mark.parametrize("args", LOOKS, ids=" ".join)
def test_what_a_command_shows(args: list[str], ids: Ids, streamq: Callable[..., Result]) -> None:
    args = [arg.format(**ids._asdict()) for arg in args]
    assert_safe(streamq(*args))
    shown = streamq(*args, "--json")
    assert_safe(shown)
    lines = shown.out.splitlines()
    assert all(json.loads(line) for line in lines)
    assert shown.code == 0


@pytest.mark.parametrize("args", LOOKS, ids=" ".join)
def test_what_a_command_shows_at_a_terminal(
    args: list[str], ids: Ids, streamq: Callable[..., Result]
) -> None:
    args = [arg.format(**ids._asdict()) for arg in args]
    code, shown = at_terminal(args, columns=100)
    assert code == 0
    assert "\x1b[5;45m" not in shown
    assert_safe(Result(code, COLOURS.sub("", shown), ""))


TREATMENTS = [
    ["pending", "retry", "{pending}"], ["pending", "dead-letter", "{pending}", "--group", "images"],
    ["pending", "release", "--consumer", EVIL, "--force"],
    ["dlq", "redrive", "--all", "--group", "images", "--json"],
    ["dlq", "redrive", "--type", EVIL, "--group", "images"],
    ["dlq", "purge", "--all", "--group", "images", "--yes"],
    ["group", "delete", "images", "--force", "--yes"],
]  # fmt: skip


@pytest.mark.parametrize("args", TREATMENTS, ids=lambda args: " ".join(args[:2]))
def test_what_a_treatment_says(args: list[str], ids: Ids, streamq: Callable[..., Result]) -> None:
    result = streamq(*(arg.format(**ids._asdict()) for arg in args))
    assert_safe(Result(result.code, result.out + result.err, ""))


@pytest.mark.parametrize(
    "args",
    [
        ["produce", EVIL], ["produce", "a=1", "--stream", EVIL], ["produce", "a=1", "--type", EVIL],
        ["produce", "--json", EVIL], ["produce", "--file", EVIL.replace("\x00", "")],
        ["produce", "a=1", "--url", f"redis://{EVIL}"], ["produce", "a=1", "--delay", EVIL],
        ["cancel", EVIL], ["pending", "--group", EVIL], ["pending", "--consumer", EVIL],
        ["pending", "--state", EVIL], ["status", EVIL], ["dlq", "show", EVIL],
        ["dlq", "list", "--type", EVIL], ["dlq", "redrive", EVIL, "--group", "images"],
        ["group", "create", EVIL], ["group", "create", "g", "--from", EVIL],
        ["group", "delete", EVIL, "--yes"], ["pending", "release", "--consumer", f"x{EVIL}"],
        ["consume", "--app", EVIL], ["consume", "--group", EVIL], ["consume", "--exec", EVIL],
        ["consume", "--metrics-host", EVIL, "--burst"], [EVIL], ["produce", f"--{EVIL}"],
    ],
    ids=lambda args: " ".join(args[:2]).encode("ascii", "backslashreplace").decode(),
)  # fmt: skip
def test_what_is_said_of_a_wrong_argument(
    args: list[str], ids: Ids, streamq: Callable[..., Result]
) -> None:
    result = streamq(*args)
    assert_safe(Result(result.code, result.out + result.err, ""))


@pytest.mark.parametrize("program", [(), ("--exec", "false"), ("--exec", "cat /nope")])
def test_what_a_worker_prints_and_logs(
    program: tuple[str, ...], server: RedisServer, client: redis.Redis,
    start: Callable[..., Program],
) -> None:  # fmt: skip
    asyncio.run(_produce(server.unix_url))
    command(client, "XADD", "jobs", "*", "type", EVIL, "data", EVIL)
    command(client, "XADD", "jobs", "*", EVIL, EVIL)
    worker = start(
        "consume", "--burst", "--retries", "0", "--log-level", "debug", "--metrics-port", "0",
        *program,
    )  # fmt: skip
    ended = worker.end()
    assert ended.code == 0
    assert_safe(Result(0, ended.out + ended.err, ""))


async def _produce(url: str) -> None:
    async with App(url) as app:
        await app.produce("", {EVIL: EVIL})
