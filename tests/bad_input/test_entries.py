"""Garbage in the stream: a dead letter with its reason, and nobody is hurt."""

from __future__ import annotations

import asyncio
import logging

import pytest
import redis

from streamq import App, Job
from streamq.observe.log_lines import LogObserver
from streamq.signals import Refused
from tests.bad_input.support import DLQ, ESCAPE, assert_safe, letters
from tests.lua.support import command, ids_of, write
from tests.servers import RedisServer
from tests.worker.support import (
    Outcome,
    Watch,
    drain,
    running,
    together,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("brisk")]


GARBAGE: dict[str, tuple[list[str | bytes], str, str]] = {
    "not json": (["type", "t", "data", "not json"], "invalid entry", "not JSON"),
    "empty data": (["type", "t", "data", ""], "invalid entry", "not JSON"),
    "data not utf-8": (["type", "t", "data", b'"\xff"'], "invalid entry", "not JSON"),
    "data with nul": (["type", "t", "data", "\x00"], "invalid entry", "not JSON"),
    "nested data": (["type", "t", "data", "[" * 9000], "invalid entry", "not JSON"),
    "a list": (["type", "t", "data", "[1]"], "invalid arguments", "not an object"),
    "deep list": (
        ["type", "t", "data", "[" * 1000 + "]" * 1000], "invalid arguments", "not an object",
    ),
    "no type": (["data", "{}"], "no handler", "without a type"),
    "empty type": (["type", "", "data", "{}"], "no handler", "without a type"),
    "unknown type": (["type", "x", "data", "{}"], "no handler", "the type 'x'"),
    "foreign, no type": (["file", "a.png"], "no handler", "without a type"),
    "type not utf-8": (["type", b"\xff", "data", "{}"], "invalid entry", "not UTF-8"),
    "endless type": (["type", "x" * 100_000, "data", "{}"], "invalid entry", "longer than 128"),
    "control in type": (["type", ESCAPE, "data", "{}"], "no handler", r"\x1b"),
    "missing": (["type", "t", "data", "{}"], "invalid arguments", "file is missing"),
    "wrong": (["type", "t", "data", '{"file":1}'], "invalid arguments", "file: "),
    "wrong and evil": (
        ["type", "t", "data", '{"file":["\\u001b[2J\\u0000"]}'], "invalid arguments", "file: ",
    ),
    "foreign, missing": (["type", "t", "fil", "a"], "invalid arguments", "file is missing"),
    "foreign, not utf-8": (["type", "t", "file", b"\xff"], "invalid entry", "not UTF-8"),
    "field not utf-8": (["type", "t", b"\xff", "a"], "invalid entry", "not UTF-8"),
    "expires": (
        ["type", "t", "data", '{"file":"a"}', "expires", ESCAPE], "invalid entry", "'expires'",
    ),
    "for": (
        ["type", "t", "data", '{"file":"a"}', "for", ESCAPE], "no such group", "does not exist",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GARBAGE)
async def test_garbage_becomes_a_dead_letter_and_hurts_nobody(
    app: App, server: RedisServer, client: redis.Redis, name: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    fields, reason, error = GARBAGE[name]
    seen: list[str] = []

    @app.handler("t", retries=3)
    async def handle(file: str) -> None:
        seen.append(file)

    await app.produce("t", {"file": "before.png"})
    id = str(write(client, *fields))
    await app.produce("t", {"file": "after.png"})
    caplog.set_level(logging.DEBUG, "streamq")
    await drain(app, observers=[LogObserver()])

    assert sorted(seen) == ["after.png", "before.png"]
    assert client.xlen("jobs") == 0
    [letter] = letters(server)
    assert letter[b"id"] == id.encode()
    assert letter[b"reason"] == reason.encode()
    assert error in letter[b"error"].decode()
    assert letter[b"error"].decode().isprintable()
    assert letter[b"attempts"] == b"1"
    assert_safe(caplog)


@pytest.mark.parametrize("garbage", [b"", b"\xff\xfe", ESCAPE.encode(), b"x" * 100_000])
@pytest.mark.parametrize("field", ["key", "trace", "origin", "unheard of"])
async def test_garbage_beside_the_data_is_no_reason_not_to_run(
    app: App, client: redis.Redis, field: str, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[tuple[str | None, str | None, str | None]] = []

    @app.handler("t")
    async def handle(job: Job) -> None:
        seen.append((job.key, job.trace, job.origin))
        job.emit("next")

    @app.handler("next")
    async def after() -> None: ...

    write(client, "type", "t", "data", "{}", field, garbage)
    caplog.set_level(logging.DEBUG, "streamq")
    watch = await drain(app, observers=[LogObserver()])
    assert watch.outcomes == [Outcome.SUCCEEDED] * 2
    assert len(seen) == 1
    assert client.xlen("jobs") == 0
    assert_safe(caplog)


async def test_a_huge_foreign_entry_is_a_job_like_others(app: App, client: redis.Redis) -> None:
    """With more fields than a script can pass on, in a batch with others."""
    for _ in range(3):
        own = [part for n in range(10_000) for part in (f"f{n}", n)]
        write(client, *own)
        await app.produce("t")
    app.handler("t")(lambda: None)
    watch = await drain(app)
    assert sorted(outcome.value for outcome in watch.outcomes) == ["dead"] * 3 + ["succeeded"] * 3
    assert client.xlen("jobs") == 0
    assert client.xlen(DLQ) == 3


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_what_a_handler_says_is_logged_safely(
    app: App, server: RedisServer, client: redis.Redis, kind: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    class Evil(Exception):
        def __str__(self) -> str:
            return ESCAPE

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    def fail(n: int) -> None:
        raise [Evil(), Mute(), UnicodeError("\ud800"), KeyError(ESCAPE)][n]

    async def fail_async(n: int) -> None:
        fail(n)

    app.handler("t", retries=0)(fail if kind == "thread" else fail_async)
    await app.produce_many(("t", {"n": n}) for n in range(4))
    caplog.set_level(logging.DEBUG, "streamq")
    await drain(app, observers=[LogObserver()])
    errors = {letter[b"error"].decode() for letter in letters(server)}
    assert len(errors) == 4
    assert "Mute: <Mute>" in errors
    assert all(error.isprintable() for error in errors)
    assert client.xlen("jobs") == 0
    assert_safe(caplog)


@pytest.mark.parametrize("thief", [ESCAPE.encode(), b"\xff\xfe", b"!deleted", b"=", b"!emit"])
async def test_a_consumer_with_an_evil_name(
    app: App, client: redis.Redis, thief: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Who takes an entry away is named in the log, and cannot break the worker."""
    taken, go_on = asyncio.Event(), asyncio.Event()

    @app.handler("t")
    async def handle(job: Job, n: int) -> None:
        if n == 0:
            taken.set()
            await together(go_on)

    id = (await app.produce("t", {"n": 0})).id
    caplog.set_level(logging.DEBUG, "streamq")
    watch = Watch()
    async with running(app, observers=[watch, LogObserver()]):
        await together(taken)
        command(client, "XCLAIM", "jobs", "default", thief, 0, id)
        go_on.set()
        await watch.until(lambda: watch.of(Refused))
        await app.produce("t", {"n": 1})
        await watch.until(lambda: watch.outcomes == [Outcome.SUCCEEDED])
    assert ids_of(client) == [id]
    assert "came too late" in caplog.text
    assert_safe(caplog)
