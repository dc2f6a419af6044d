"""Regression tests: each stands for a defect that there was."""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
import redis

from streamq import App, Job, Retry, Settings, lua
from streamq.errors import ConfigError
from streamq.handlers.handler import make_handler
from streamq.server import Link
from streamq.server.address import Address
from streamq.server.protocol import Connection
from streamq.signals import LeaseLost, ServerBack, ServerLost, Settled, Signal
from streamq.verdict import Outcome
from streamq.worker import Handlers
from streamq.worker.fetch import BLOCK
from tests.servers import RedisServer
from tests.waiting import eventually, for_ever

pytestmark = pytest.mark.anyio

_variable: ContextVar[int | None] = ContextVar("_variable", default=None)


def has_reclaimed(consumer: Any) -> bool:
    """Whether it has looked for stalled entries, the last of the first round of sources."""
    return bool(consumer.fetcher._sources[-1].next_at)


async def test_a_context_variable_is_not_there_for_the_jobs_that_are_waiting(app: App) -> None:
    found: list[int | None] = []

    @app.group("g").handler("set")
    async def handle(i: int) -> None:
        found.append(_variable.get())
        _variable.set(i)

    await app.produce_many([("set", {"i": i}) for i in range(2000)])
    await app.worker(burst=True, settings=Settings(concurrency=1)).run()
    assert found == [None] * 2000


async def test_a_lost_lease_gives_the_rest_of_a_batch_back(app: App, client: redis.Redis) -> None:
    calls: list[list[str]] = []
    events: list[Signal] = []

    @app.group("g").handler("x", batch=3)
    async def handle(jobs: list[Job]) -> None:
        calls.append([job.id for job in jobs])
        if len(calls) == 1:
            await for_ever()

    ids = [job.id for job in await app.produce_many([("x", {})] * 3)]
    worker = app.worker(settings=Settings(lease=0.3, grace=0), observers=[events.append])
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run())
        await eventually(lambda: bool(calls))
        client.xclaim("jobs", "g", "somebody-else", 0, [ids[0]])
        client.xack("jobs", "g", ids[0])
        await eventually(lambda: any(isinstance(event, LeaseLost) for event in events))
        await eventually(lambda: client.xpending("jobs", "g")["pending"] == 0)
        worker.stop()
    assert calls[0] == ids
    assert sorted(id for call in calls[1:] for id in call) == ids[1:]


async def test_max_jobs_ends_a_worker_whose_groups_overdraw_it(app: App) -> None:
    ran: list[str] = []

    def register(group: str) -> None:
        @app.group(group).handler("x")
        async def handle() -> None:
            ran.append(group)

    for group in ("a", "b", "c"):
        register(group)
    worker = app.worker(max_jobs=1)
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run())
        await eventually(lambda: all(has_reclaimed(consumer) for consumer in worker.consumers))
        await app.produce("x")
    assert ran


async def test_one_stream_in_trouble_is_told_once_beside_others_that_work(
    app: App, client: redis.Redis
) -> None:
    events: list[Signal] = []

    def register(stream: str) -> None:
        @app.group("g").handler("x", stream=stream)
        async def handle() -> None: ...

    register("good")
    register("bad")
    worker = app.worker(settings=Settings(grace=0), observers=[events.append])
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run())
        await eventually(lambda: all(has_reclaimed(consumer) for consumer in worker.consumers))
        client.delete("bad")
        client.set("bad", "no stream")
        await eventually(lambda: any(isinstance(event, ServerLost) for event in events))
        for _ in range(3):
            await app.produce("x", stream="good")
            await eventually(lambda: not client.xlen("good"))
        assert not any(isinstance(event, ServerBack) for event in events)
        client.delete("bad")
        await eventually(lambda: any(isinstance(event, ServerBack) for event in events))
        worker.stop()
    assert sum(isinstance(event, ServerLost) for event in events) == 1


async def test_the_wait_for_a_thread_is_not_counted_by_the_timeout(app: App) -> None:
    outcomes: list[Outcome] = []

    def observe(event: Signal) -> None:
        if isinstance(event, Settled):
            outcomes.extend(verdict.outcome for verdict in event.verdicts)

    def register(group: str) -> None:
        @app.group(group).handler("x", timeout=0.5, retries=0)
        def handle() -> None:
            time.sleep(0.2)  # time is what is tested

    for group in ("a", "b", "c", "d"):  # which share one thread
        register(group)
    await app.produce("x")
    worker = app.worker(burst=True, settings=Settings(concurrency=1), observers=[observe])
    await worker.run()
    assert outcomes == [Outcome.SUCCEEDED] * 4


def _dead_letters(client: redis.Redis, group: str) -> list[tuple[str, str]]:
    letters: Any = client.xrange(f"{{jobs}}:group:{group}:dlq")
    return [(fields["type"], fields["error"]) for _, fields in letters]


async def test_an_event_that_the_user_may_not_write_holds_up_nobody(
    server: RedisServer, client: redis.Redis
) -> None:
    client.acl_setuser(
        "w", enabled=True, passwords="+pw", keys=["jobs", "{jobs}*"], commands=["+@all"]
    )
    done: list[int] = []
    async with App(f"unix://w:pw@{server.socket}") as app:

        @app.group("g").handler("good")
        async def good(i: int) -> None:
            done.append(i)

        @app.group("g").handler("bad")
        async def bad(job: Job) -> None:
            job.emit("x", stream="elsewhere")

        await app.produce_many([("bad" if i == 3 else "good", {"i": i}) for i in range(20)])
        async with asyncio.timeout(20):
            await app.worker(burst=True).run()
    client.acl_deluser("w")
    assert sorted(done) == [i for i in range(20) if i != 3]
    [(type, error)] = _dead_letters(client, "g")
    assert type == "bad"
    assert "could not be written" in error
    assert "does not permit it" in error


async def test_an_event_that_the_server_refuses_leaves_the_others_written_once(
    app: App, client: redis.Redis
) -> None:
    client.xadd("full", {"a": "1"}, id=f"{2**64 - 1}-{2**64 - 1}")

    @app.group("g").handler("good")
    async def good(job: Job) -> None:
        job.emit("x", stream="out")

    @app.group("g").handler("bad")
    async def bad(job: Job) -> None:
        job.emit("x", stream="full")

    await app.produce_many([("good", {}), ("bad", {}), ("good", {})])
    async with asyncio.timeout(20):
        await app.worker(burst=True).run()
    assert client.xlen("out") == 2
    [(type, error)] = _dead_letters(client, "g")
    assert type == "bad"
    assert "last possible ID" in error


async def test_what_was_not_for_this_group_is_no_victim_of_a_lost_worker(
    app: App, client: redis.Redis
) -> None:
    for group in ("g", "other"):
        client.xgroup_create("jobs", group, mkstream=True)
    await app.produce("thumbnail_made")
    client.xadd("jobs", {"type": "x", "data": "{}", "for": "other"})
    own = client.xadd("jobs", {"type": "x", "data": "{}"})
    client.xreadgroup("g", "lost-worker", {"jobs": ">"})

    @app.group("g").handler("x", retries=0)
    async def handle() -> None: ...

    app.group("g", ignore=["thumbnail_*"])
    async with asyncio.timeout(20):
        await app.worker(burst=True, settings=Settings(lease=0.05)).run()
    letters: Any = client.xrange("{jobs}:group:g:dlq")
    assert [fields["id"] for _, fields in letters] == [own]


def test_the_handler_of_the_rest_is_found_in_any_iterable() -> None:
    handler = make_handler("*", lambda: None)
    assert Handlers(iter([handler])).find("x") is handler


@pytest.mark.parametrize(
    "url", ["redis://user:se/cret@host", "redis://:se#cret@host:1", "redis://:se?cret@host"]
)
def test_a_password_with_characters_of_the_url_is_not_shown(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Address(url)
    assert "se" not in str(caught.value).replace("server", "").replace("user", "")


async def test_a_retry_that_never_comes_is_parked_like_any_other(
    app: App, client: redis.Redis
) -> None:
    @app.group("g").handler("x")
    async def handle() -> None:
        raise Retry(delay=1e306)

    await app.produce("x")
    worker = app.worker(settings=Settings(grace=0))
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run())
        await eventually(lambda: bool(client.zcard("{jobs}:group:g:retry")))
        worker.stop()


async def test_a_slow_handler_gets_whole_batches(app: App) -> None:
    sizes: list[int] = []

    @app.group("g").handler("x", batch=50)
    async def handle(jobs: list[Job]) -> None:
        sizes.append(len(jobs))
        await asyncio.sleep(0.1)  # being slow is what is tested

    await app.produce_many([("x", {})] * 200)
    await app.worker(burst=True, settings=Settings(concurrency=2)).run()
    assert sizes == [50] * 4


async def test_a_connection_that_breaks_at_the_end_leaves_no_consumer(
    app: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.group("g").handler("x")
    async def handle() -> None: ...

    await app.produce("x")
    worker = app.worker(burst=True)
    run, broken = Link.run, [lua.load("release")]

    async def break_once(link: Link, call: lua.Call) -> Any:
        if call.script in broken:
            broken.remove(call.script)
            client.client_kill_filter(skipme=True)
        return await run(link, call)

    monkeypatch.setattr(Link, "run", break_once)
    # The connection is found broken before it is used, or after: both must do.
    monkeypatch.setattr(Connection, "usable", True)
    async with asyncio.timeout(20):
        await worker.run()
    assert client.xinfo_consumers("jobs", "g") == []


async def test_a_burst_sees_what_is_emitted_to_a_stream_that_it_has_just_looked_at(
    app: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, ran = asyncio.Event(), list[str]()

    @app.group("g").handler("x", stream="first")
    async def first(job: Job) -> None:
        ran.append("first")
        await asyncio.sleep(2 * BLOCK)  # longer than any read that is under way
        job.emit("x", {"again": False}, stream="second")

    @app.group("g").handler("x", stream="second")
    async def second(job: Job, again: bool) -> None:
        ran.append("second")
        if again:
            await looked.wait()
            job.emit("x", stream="first")

    await app.produce("x", {"again": True}, stream="second")
    worker = app.worker(burst=True)
    idle = worker.consumers[0].idle

    async def look() -> bool:
        found = await idle()
        if found and not looked.is_set():
            looked.set()
            await eventually(
                lambda: client.xlen("second") == 0 and not len(worker.consumers[1].in_flight)
            )
        return found

    monkeypatch.setattr(worker.consumers[0], "idle", look)
    async with asyncio.timeout(20):
        await worker.run()
    assert ran == ["second", "first", "second"]


async def test_nothing_waits_behind_a_handler_without_retries(
    app: App, client: redis.Redis
) -> None:
    """Should the worker die, what waits would be dead without having been begun."""
    begun, go_on = asyncio.Event(), asyncio.Event()
    fast, slow = 3000, 50
    count = 0

    @app.handler("once", retries=0)
    async def once(n: int) -> None:
        nonlocal count
        count += 1
        if n >= fast:  # by now, the pace would have many of them fetched ahead
            if count == fast + 2:
                begun.set()
            await go_on.wait()

    await app.produce_many(("once", {"n": n}) for n in range(fast + slow))
    worker = app.worker(burst=True, settings=Settings(concurrency=2))
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        await begun.wait()
        assert client.xpending("jobs", "default")["pending"] == 2
        go_on.set()
    assert count == fast + slow
