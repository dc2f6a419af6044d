"""Stopping: give back what has not begun, let the rest finish, leave nothing behind."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
import redis

from streamq import App, Job, Settings
from streamq.signals import HandlerAbandoned, Stopping
from streamq.wire.keys import PARKED
from tests.lua.support import Group, ids_of
from tests.worker import work
from tests.worker.support import (
    AT_ONCE,
    PATIENCE,
    QUIET,
    Outcome,
    Watch,
    drain,
    eventually,
    running,
    together,
)

pytestmark = pytest.mark.anyio

FOREVER = 3600


async def test_running_jobs_may_finish(app: App, client: redis.Redis) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.handler("t")
    async def handle() -> None:
        begun.set()
        await together(go_on)

    await app.produce("t")
    watch = Watch()
    async with running(app, observers=[watch], settings=QUIET) as worker:
        await together(begun)
        worker.stop()
        assert worker.stopping
        assert watch.of(Stopping) == [Stopping(running=1, grace=30.0)]
        await asyncio.sleep(0.05)
        assert watch.verdicts == []
        go_on.set()
    assert watch.outcomes == [Outcome.SUCCEEDED]
    assert client.keys("*") == ["jobs"]
    assert client.xinfo_consumers("jobs", "default") == []


async def test_stopping_twice_is_stopping_once(app: App) -> None:
    app.handler("t")(lambda: None)
    watch = Watch()
    async with running(app, observers=[watch]) as worker:
        worker.stop()
        worker.stop()
    assert len(watch.of(Stopping)) == 1


async def test_a_worker_that_is_stopped_before_it_starts_ends(app: App) -> None:
    app.handler("t")(lambda: None)
    await app.produce("t")
    worker = app.worker(settings=QUIET)
    worker.stop()
    async with asyncio.timeout(PATIENCE):
        await worker.run()


async def test_what_has_not_begun_is_given_back_uncounted(app: App, client: redis.Redis) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    ran: list[int] = []

    @app.handler("warm up")
    async def warm_up() -> None: ...

    @app.handler("t")
    async def handle(n: int) -> None:
        ran.append(n)
        begun.set()
        await together(go_on)

    # Fast jobs first: only who has seen them fetches ahead.
    await app.produce_many(("warm up", {}) for _ in range(3000))
    await app.produce_many(("t", {"n": n}) for n in range(500))
    watch = Watch()
    async with running(
        app, observers=[watch], settings=Settings(concurrency=1, result_ttl=0)
    ) as worker:
        await together(begun)
        await eventually(lambda: client.xpending("jobs", "default")["pending"] > 1)
        worker.stop()
        await watch.until(lambda: Outcome.RELEASED in watch.outcomes)
        go_on.set()
    assert ran == [0]
    released = watch.outcomes.count(Outcome.RELEASED)
    assert released > 0
    pending = Group.pending(at(client))
    assert set(pending.values()) == {(PARKED, 0)}
    assert len(pending) == released
    attempts: list[int] = []

    app2 = App(app.url)

    @app2.handler("t")
    async def again(job: Job) -> None:
        attempts.append(job.attempt)

    async with app2:
        await drain(app2)
    assert attempts == [1] * 499
    assert client.keys("*") == ["jobs"]


def at(client: redis.Redis) -> Group:
    """The group of the worker, as it is."""
    group = Group.__new__(Group)
    group.client, group.name, group.stream = client, "default", "jobs"
    return group


async def test_nothing_new_begins_after_the_stop(app: App) -> None:
    """Not even what has been fetched already."""
    begun, go_on = asyncio.Event(), asyncio.Event()
    ran: list[int] = []

    @app.handler("warm up")
    async def warm_up() -> None: ...

    @app.handler("t")
    async def handle(n: int) -> None:
        ran.append(n)
        begun.set()
        await together(go_on)

    await app.produce_many(("warm up", {}) for _ in range(3000))
    await app.produce_many(("t", {"n": n}) for n in range(500))
    async with running(app, settings=Settings(concurrency=1, result_ttl=0)) as worker:
        await together(begun)
        await eventually(lambda: worker.consumers[0].in_flight.waiting)
        worker.stop()
        go_on.set()
    assert ran == [0]


async def test_what_a_last_read_brings_does_not_begin(
    app: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamq.worker.fetch.BLOCK", 5.0)
    ran: list[int] = []

    @app.handler("t")
    async def handle(n: int) -> None:
        ran.append(n)

    watch = Watch()
    async with running(app, observers=[watch], settings=QUIET) as worker:
        await eventually(lambda: any("b" in row["flags"] for row in client.client_list()))
        worker.stop()
        await app.produce_many(("t", {"n": n}) for n in range(3))
    assert ran == []
    assert set(watch.outcomes) <= {Outcome.RELEASED}
    assert set(Group.pending(at(client)).values()) <= {(PARKED, 0)}


async def test_after_the_grace_period_handlers_are_cancelled_and_released(
    app: App, client: redis.Redis
) -> None:
    begun = asyncio.Event()
    cancelled: list[str] = []

    @app.handler("t")
    async def handle() -> None:
        begun.set()
        try:
            await asyncio.sleep(FOREVER)
        except asyncio.CancelledError:
            cancelled.append("yes")
            raise

    id = (await app.produce("t")).id
    watch = Watch()
    async with running(
        app, observers=[watch], settings=Settings(grace=0.05, result_ttl=0)
    ) as worker:
        await together(begun)
        worker.stop()
    assert cancelled == ["yes"]
    assert watch.outcomes == [Outcome.RELEASED]
    assert Group.pending(at(client)) == {id: (PARKED, 0)}
    assert client.xinfo_consumers("jobs", "default")[0]["name"] == PARKED


async def test_an_event_of_a_released_job_is_not_written(app: App, client: redis.Redis) -> None:
    begun = asyncio.Event()

    @app.handler("t")
    async def handle(job: Job) -> None:
        job.emit("next", stream="out")
        begun.set()
        await asyncio.sleep(FOREVER)

    await app.produce("t")
    async with running(app, settings=Settings(grace=0)) as worker:
        await together(begun)
        worker.stop()
    assert not client.exists("out")


async def test_a_handler_that_ignores_its_cancellation_does_not_keep_the_worker(
    app: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("runners", "consumer"):
        monkeypatch.setattr(f"streamq.worker.{module}.STUCK_AFTER", 0.05)
    begun, let_go, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @app.handler("t")
    async def handle() -> None:
        begun.set()
        while not let_go.is_set():
            try:
                await together(let_go)
            except asyncio.CancelledError:
                continue
        ended.set()

    id = (await app.produce("t")).id
    watch = Watch()
    async with running(app, observers=[watch], settings=Settings(grace=0, result_ttl=0)) as worker:
        await together(begun)
        worker.stop()
    assert worker.stuck == 1
    assert [event.job.id for event in watch.of(HandlerAbandoned)] == [id]
    assert watch.outcomes == [Outcome.RELEASED]
    assert Group.pending(at(client)) == {id: (PARKED, 0)}
    let_go.set()
    await together(ended)
    await asyncio.sleep(0)


async def test_a_handler_in_a_thread_is_not_waited_for_longer(
    app: App, client: redis.Redis
) -> None:
    begun, let_go = threading.Event(), threading.Event()

    @app.handler("t")
    def handle() -> None:
        begun.set()
        let_go.wait(PATIENCE)

    id = (await app.produce("t")).id
    watch = Watch()
    try:
        async with running(
            app, observers=[watch], settings=Settings(grace=0.05, result_ttl=0)
        ) as worker:
            await asyncio.to_thread(begun.wait, PATIENCE)
            worker.stop()
    finally:
        let_go.set()
    assert watch.outcomes == [Outcome.RELEASED]
    assert Group.pending(at(client)) == {id: (PARKED, 0)}


async def test_a_handler_in_a_process_is_killed(
    app: App, client: redis.Redis, tmp_path: Path
) -> None:
    app.handler("t", process=True)(work.leaves_a_mark)
    mark = tmp_path / "pid"
    id = (await app.produce("t", {"path": str(mark)})).id
    watch = Watch()
    async with running(
        app, observers=[watch], settings=Settings(grace=0, processes=1, result_ttl=0)
    ) as worker:
        await eventually(lambda: mark.exists() and mark.read_text())
        worker.stop()
    assert watch.outcomes == [Outcome.RELEASED]
    assert Group.pending(at(client)) == {id: (PARKED, 0)}
    assert not work.is_running(mark)


async def test_failures_while_stopping_are_parked_as_ever(app: App, client: redis.Redis) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.handler("t", backoff=AT_ONCE)
    async def handle() -> None:
        begun.set()
        await together(go_on)
        raise ValueError("no")

    id = (await app.produce("t")).id
    watch = Watch()
    async with running(app, observers=[watch], settings=QUIET) as worker:
        await together(begun)
        worker.stop()
        go_on.set()
    assert watch.outcomes == [Outcome.RETRY]
    assert Group.pending(at(client)) == {id: (PARKED, 1)}


async def test_a_cancelled_worker_leaves_its_jobs_to_the_lease(
    app: App, client: redis.Redis
) -> None:
    begun = asyncio.Event()

    @app.handler("t")
    async def handle() -> None:
        begun.set()
        await asyncio.sleep(FOREVER)

    id = (await app.produce("t")).id
    worker = app.worker(settings=QUIET)
    task = asyncio.create_task(worker.run())
    await together(begun)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ids_of(client) == [id]
    assert Group.pending(at(client)) == {id: (worker.name, 1)}
