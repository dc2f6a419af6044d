"""Names for the streams of more and less urgent jobs."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis

from streamq import App, Group, Job, testing
from streamq.errors import ConfigError
from tests.servers import RedisServer
from tests.worker.support import Outcome, drain

pytestmark = pytest.mark.anyio

NAMES = {"high": "urgent", "low": "bulk"}


class Reversed:
    """A codec of the simplest kind."""

    def encode(self, data: Any) -> bytes:
        return json.dumps(data).encode()[::-1]

    def decode(self, raw: bytes) -> Any:
        return json.loads(raw[::-1])


def make_app(url: str, **options: Any) -> App:
    return App(url, priorities=NAMES, **options)


async def test_produce_chooses_the_stream(server: RedisServer, client: redis.Redis) -> None:
    async with make_app(server.unix_url) as app:
        await app.produce("t", priority="high")
        await app.produce("t", priority="low", unique="once")
        await app.produce_many([("t", {}), ("t", {})], priority="low")
        await app.produce("t")
    assert [client.xlen(stream) for stream in ("urgent", "bulk", "jobs")] == [1, 3, 1]


async def test_handlers_that_name_no_stream_work_on_all(server: RedisServer) -> None:
    seen: list[tuple[str, str]] = []
    async with make_app(server.unix_url) as app:
        group = app.group("images")
        audit = app.group("audit", stream="audit")

        @group.handler("t")
        async def handle(job: Job) -> None:
            seen.append((job.stream, "t"))

        @group.handler("t", stream="urgent")
        async def at_once(job: Job) -> None:
            seen.append((job.stream, "at once"))

        audit.handler("note")(lambda: None)
        consumed = [(one.stream, one.group) for one in app.subscriptions()]
        assert consumed == [
            ("jobs", "images"), ("urgent", "images"), ("bulk", "images"), ("audit", "audit"),
        ]  # fmt: skip
        for priority in (None, "high", "low"):
            await app.produce("t", priority=priority)
        await drain(app, streams={"urgent": 9, "jobs": 3, "bulk": 1})
    assert sorted(seen) == [("bulk", "t"), ("jobs", "t"), ("urgent", "at once")]


@pytest.mark.parametrize("codec", [None, Reversed()])
async def test_emit_chooses_the_stream_wherever_the_handler_runs(
    server: RedisServer, client: redis.Redis, codec: Reversed | None
) -> None:
    async with make_app(server.unix_url, codec=codec) as app:

        @app.handler("async")
        async def in_loop(job: Job) -> None:
            job.emit("next", {"from": job.type}, priority="high")

        app.handler("thread")(emit_next)
        app.handler("process", process=True)(emit_next)
        for type in ("async", "thread", "process"):
            await app.produce(type, {"n": 1}, priority="low")
        watch = await drain(app, streams=["bulk"])
    assert watch.outcomes == [Outcome.SUCCEEDED] * 3
    assert client.xlen("urgent") == 3


def emit_next(job: Job) -> None:
    assert job.data == {"n": 1}
    job.emit("next", {"from": job.type}, priority="high")


async def test_without_a_server() -> None:
    app = make_app("redis://localhost:1")

    @app.handler("t")
    async def handle(job: Job) -> None:
        if job.stream == "urgent":
            job.emit("t", priority="low")

    inline = testing.Inline(app)
    done = await inline.produce("t", priority="high")
    assert len(done) == 2
    with pytest.raises(ConfigError, match="priority='highest': the app has high, low"):
        await inline.produce("t", priority="highest")


async def test_what_cannot_be() -> None:
    app = make_app("redis://localhost:1")
    with pytest.raises(ConfigError, match="priority='highest': the app has high, low"):
        await app.produce("t", priority="highest")
    with pytest.raises(ConfigError, match="give either stream or priority, not both"):
        await app.produce("t", stream="jobs", priority="high")
    with pytest.raises(ConfigError, match="give either stream or priority, not both"):
        await app.produce_many([], stream="jobs", priority="high")
    with pytest.raises(ConfigError, match=r"the app has none: name them with App\(priorities="):
        await App("redis://localhost:1").produce("t", priority="high")


async def test_emit_says_what_cannot_be() -> None:
    app = make_app("redis://localhost:1")
    errors: list[str] = []

    @app.handler("t")
    async def handle(job: Job) -> None:
        for options in ({"priority": "x"}, {"priority": "high", "stream": "jobs"}):
            with pytest.raises(ConfigError) as raised:
                job.emit("next", **options)  # type: ignore[call-overload]  # what is tested
            errors.append(str(raised.value))

    assert (await testing.handle(app, "t")).outcome is Outcome.SUCCEEDED
    assert errors == [
        "priority='x': the app has high, low",
        "give either stream or priority, not both",
    ]


@pytest.mark.parametrize("names", [{"": "urgent"}, {"high": ""}, {"high": "a}b"}])
def test_names_that_cannot_be(names: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        App("redis://localhost:1", priorities=names)


def test_an_included_group_serves_them_too() -> None:
    app, group = make_app("redis://localhost:1"), Group("images")
    group.handler("t")(lambda: None)
    app.include(group)
    assert [one.stream for one in app.subscriptions()] == ["jobs", "urgent", "bulk"]
