"""Middleware around the handling of a job, and around the producing of one."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import anyio
import pytest
import redis

from streamq import App, Dead, Enqueued, Job, NewJob, Retry, Settings, StreamqError
from streamq.errors import ConfigError
from streamq.middleware import CallNext, Middleware, ProduceNext
from tests.lua.support import raw_entries
from tests.servers import RedisServer
from tests.worker.support import AT_ONCE, Outcome, drain

pytestmark = pytest.mark.anyio

USER: ContextVar[str] = ContextVar("USER", default="nobody")


def noting(name: str, notes: list[str]) -> Middleware:
    async def middleware(job: Job, call_next: CallNext) -> Any:
        notes.append(f"{name} before {job.type}")
        try:
            return await call_next(job)
        finally:
            notes.append(f"{name} after {job.type}")

    return middleware


async def test_the_apps_middleware_is_outside_the_groups(server: RedisServer) -> None:
    notes: list[str] = []
    async with App(
        server.unix_url, middleware=[noting("app", notes), noting("app 2", notes)]
    ) as app:
        group = app.group("g", middleware=[noting("group", notes)])

        @group.handler("t")
        async def handle(job: Job) -> None:
            notes.append("handler")

        await app.produce("t")
        await drain(app)
    names = ["app", "app 2", "group"]
    assert notes == [
        *(f"{name} before t" for name in names), "handler",
        *(f"{name} after t" for name in reversed(names)),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["async", "thread", "process"])
async def test_it_wraps_every_kind_of_handler(app: App, client: redis.Redis, kind: str) -> None:
    async def doubled(job: Job, call_next: CallNext) -> Any:
        return 2 * await call_next(job)

    async def handle(n: int) -> int:
        return n

    group = app.group("g", middleware=[doubled])
    function: Any = handle if kind == "async" else abs_of
    group.handler("t", process=kind == "process")(function)
    id = (await app.produce("t", {"n": 21})).id
    assert (await drain(app, settings=Settings())).outcomes == [Outcome.SUCCEEDED]
    assert client.hget(f"{{jobs}}:group:g:job:{id}", "result") == "42"


def abs_of(n: int) -> int:
    return abs(n)


async def test_it_may_answer_itself_fail_and_swallow_failures(app: App) -> None:
    async def gate(job: Job, call_next: CallNext) -> Any:
        if job.data["do"] == "skip":
            return "skipped"
        if job.data["do"] == "refuse":
            raise Dead("not today")
        try:
            return await call_next(job)
        except ValueError:
            return "swallowed"

    called: list[str] = []

    @app.group("g", middleware=[gate]).handler("t")
    async def handle(do: str) -> None:
        called.append(do)
        raise ValueError(do)

    for do in ("skip", "refuse", "fail"):
        await app.produce("t", {"do": do})
    watch = await drain(app)
    assert called == ["fail"]
    assert sorted(v.outcome.value for v in watch.verdicts) == ["dead", "succeeded", "succeeded"]


async def test_a_context_reaches_the_handler_and_no_other_job(app: App) -> None:
    async def as_user(job: Job, call_next: CallNext) -> Any:
        USER.set(job.data["user"])
        return await call_next(job)

    seen = []

    @app.group("g", middleware=[as_user]).handler("t")
    def in_thread(user: str) -> None:
        seen.append((user, USER.get()))

    @app.group("h").handler("t")
    async def without(user: str) -> None:
        seen.append(("h", USER.get()))

    for user in ("ann", "bob"):
        await app.produce("t", {"user": user})
    await drain(app)
    assert sorted(seen) == [("ann", "ann"), ("bob", "bob"), ("h", "nobody"), ("h", "nobody")]


async def test_a_timeout_cancels_middleware_and_handler(app: App) -> None:
    notes: list[str] = []

    @app.group("g", middleware=[noting("m", notes)]).handler("t", timeout=0.05, retries=0)
    async def handle() -> None:
        await anyio.sleep_forever()

    await app.produce("t")
    [verdict] = (await drain(app)).verdicts
    assert verdict.outcome is Outcome.DEAD
    assert notes == ["m before t", "m after t"]


async def test_a_batch_has_no_middleware(app: App) -> None:
    @app.group("g", middleware=[noting("m", [])]).handler("t", batch=10)
    async def handle(jobs: list[Job]) -> None: ...

    with pytest.raises(ConfigError, match="takes batches, and middleware wraps one job"):
        app.subscriptions()


async def test_around_producing(server: RedisServer, client: redis.Redis) -> None:
    seen: list[object] = []

    async def traced(job: NewJob, call_next: ProduceNext) -> Enqueued:
        job.trace = "00-1"
        enqueued = await call_next(job)
        seen.append((job.type, enqueued.id))
        return enqueued

    async def stamped(job: NewJob, call_next: ProduceNext) -> Enqueued:
        job.data = {**job.data, "by": "me"}
        return await call_next(job)

    async with App(server.unix_url, produce_middleware=[traced, stamped]) as app:
        one = await app.produce("a", {"n": 1})
        many = await app.produce_many([("b", {}), ("c", {})], key="k")
    entries = raw_entries(client, "jobs")
    assert seen == [("a", one.id), ("b", many[0].id), ("c", many[1].id)]
    assert [id for id, _ in entries] == [one.id, *(job.id for job in many)]
    assert entries[1][1] == [
        ("type", "b"), ("data", '{"by":"me"}'), ("key", "k"), ("trace", "00-1"),
    ]  # fmt: skip


@pytest.mark.parametrize("raised", [Retry("later", delay=0), Dead("no")])
async def test_retry_and_dead_pass_an_except_for_streamqs_errors(
    app: App, raised: Exception
) -> None:
    @app.handler("t", retries=1, backoff=AT_ONCE)
    async def handle() -> None:
        try:
            raise raised
        except StreamqError:
            pass  # the handler's own produce may fail with one

    await app.produce("t")
    assert (await drain(app)).outcomes[-1] is Outcome.DEAD
