"""`def` handlers run in threads."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest
import redis

from streamq import App, Dead, Job, Settings
from tests.lua.support import raw_entries
from tests.worker.support import AT_ONCE, PATIENCE, Outcome, drain

pytestmark = pytest.mark.anyio

current: ContextVar[int] = ContextVar("current", default=0)


async def test_they_do_not_run_in_the_event_loop(app: App) -> None:
    threads: list[threading.Thread] = []

    @app.handler("t")
    def handle(n: int) -> int:
        threads.append(threading.current_thread())
        return n

    await app.produce_many(("t", {"n": n}) for n in range(10))
    watch = await drain(app)
    assert watch.outcomes == [Outcome.SUCCEEDED] * 10
    assert threading.main_thread() not in threads


async def test_as_many_run_at_once_as_the_concurrency_says(app: App) -> None:
    barrier = threading.Barrier(4, timeout=PATIENCE)

    @app.handler("t", retries=0)
    def handle() -> None:
        barrier.wait()

    await app.produce_many(("t", {}) for _ in range(8))
    watch = await drain(app, settings=Settings(concurrency=4, result_ttl=0))
    assert watch.outcomes == [Outcome.SUCCEEDED] * 8


async def test_failures_retries_and_giving_up(app: App) -> None:
    @app.handler("t", retries=1, backoff=AT_ONCE)
    def handle(job: Job, how: str) -> None:
        if how == "dead":
            raise Dead("no")
        if how == "exit":
            sys.exit(3)
        if how == "interrupt":
            raise KeyboardInterrupt
        if how == "once" and job.attempt > 1:
            return
        raise StopIteration(7) if how == "stop" else ValueError("no")

    for how in ("dead", "exit", "interrupt", "once", "always", "stop"):
        await app.produce("t", {"how": how})
    watch = await drain(app)
    by_kind: dict[str, list[tuple[str, str]]] = {}
    for verdict in watch.verdicts:
        said = (verdict.outcome.value, verdict.error)
        by_kind.setdefault(verdict.job.data["how"], []).append(said)
    exit_said = "the handler called sys.exit(3)"
    assert by_kind["dead"] == [("dead", "no")]
    assert by_kind["exit"] == [("retry", exit_said), ("dead", exit_said)]
    interrupt_said = "the handler raised KeyboardInterrupt"
    assert by_kind["interrupt"] == [("retry", interrupt_said), ("dead", interrupt_said)]
    assert by_kind["once"] == [("retry", "ValueError: no"), ("succeeded", "")]
    assert by_kind["always"] == [("retry", "ValueError: no"), ("dead", "ValueError: no")]
    assert [outcome for outcome, _ in by_kind["stop"]] == ["retry", "dead"]


async def test_emitting_from_a_thread(app: App, client: redis.Redis) -> None:
    @app.handler("t")
    def handle(job: Job) -> None:
        job.emit("next", {"n": 1}, stream="out")

    await app.produce("t")
    await drain(app)
    assert len(raw_entries(client, "out")) == 1


async def test_context_variables_do_not_leak(app: App) -> None:
    found: list[int] = []

    @app.handler("t")
    def handle(n: int) -> None:
        found.append(current.get())
        current.set(n)

    await app.produce_many(("t", {"n": n}) for n in range(1, 6))
    await drain(app, settings=Settings(concurrency=1, result_ttl=0))
    assert found == [0] * 5


def hands_on_a_coroutine() -> Any:
    async def inner() -> None: ...

    return inner()


def hands_on_a_generator() -> Any:
    def inner() -> Iterator[int]:
        yield 1

    return inner()


async def forgets_to_await() -> Any:
    return asyncio.sleep(0)


async def leaves_a_task() -> Any:
    return asyncio.get_running_loop().create_future()


@pytest.mark.parametrize(
    "function", [hands_on_a_coroutine, hands_on_a_generator, forgets_to_await, leaves_a_task]
)
async def test_work_that_nobody_would_do_is_no_success(
    app: App, function: Callable[[], Any]
) -> None:
    """A function that returns a coroutine has done nothing yet: an await is missing."""
    app.handler("t", retries=0)(function)
    await app.produce("t")
    watch = await drain(app)
    assert watch.outcomes == [Outcome.DEAD]
    assert "has not run" in watch.verdicts[0].error
