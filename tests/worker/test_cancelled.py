"""A worker that is cancelled, and handlers that cancel their own task."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streamq import App, Settings
from streamq.verdict import Outcome
from tests.waiting import for_ever
from tests.worker.support import AT_ONCE, Watch, drain, together

pytestmark = pytest.mark.anyio


async def test_a_cancelled_worker_leaves_nothing_running(app: App) -> None:
    begun, entered = asyncio.Event(), 0

    @app.handler("t")
    async def handle(n: int) -> None:
        nonlocal entered
        entered += 1
        begun.set()
        await asyncio.sleep(0.001)

    await app.produce_many(("t", {"n": n}) for n in range(500))
    before = asyncio.all_tasks()
    task = asyncio.create_task(app.worker().run())
    await together(begun)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    so_far = entered
    await asyncio.sleep(0.02)  # long enough for what should not happen
    assert entered == so_far
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("moment", range(6))
async def test_a_handler_ends_while_its_worker_is_being_cancelled(app: App, moment: int) -> None:
    """Its verdict comes while the stages that would take it end one by one."""
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    begun, go = asyncio.Event(), asyncio.Event()

    @app.handler("t")
    async def handle() -> None:
        begun.set()
        await go.wait()
        for _ in range(moment):
            await asyncio.sleep(0)

    await app.produce("t")
    task = asyncio.create_task(app.worker().run())
    await together(begun)
    go.set()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert faults == []


async def test_a_handler_that_cancels_itself_has_failed(app: App) -> None:
    runs: list[int] = []
    runners: list[asyncio.Task[Any] | None] = []

    @app.handler("t", retries=1, backoff=AT_ONCE)
    async def handle(n: int) -> None:
        runs.append(n)
        runners.append(task := asyncio.current_task())
        if runs == [0]:
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)

    await app.produce_many(("t", {"n": n}) for n in range(5))
    watch = await drain(app, settings=Settings(concurrency=1))
    assert sorted(runs) == [0, 0, 1, 2, 3, 4]
    assert sorted(watch.outcomes, key=str) == [Outcome.RETRY, *[Outcome.SUCCEEDED] * 5]
    assert runners[0] not in runners[1:]  # a task that was told to end does


async def test_a_cancellation_that_a_handler_kept_to_itself_harms_no_later_one(app: App) -> None:
    """Libraries are about that cancel a task, catch it, and do not take it back."""

    @app.handler("keeps")
    async def keeps() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            pass

    @app.handler("waits", retries=0)
    async def waits() -> None:
        other = asyncio.create_task(for_ever())
        asyncio.get_running_loop().call_soon(other.cancel)
        await other

    @app.handler("t")
    async def handle() -> None:
        pass

    for type in ("keeps", "waits", "t", "t"):
        await app.produce(type)
    watch = Watch()
    async with asyncio.timeout(10):
        await app.worker(settings=Settings(concurrency=1), observers=[watch], burst=True).run()
    outcomes = {verdict.job.type: verdict.outcome for verdict in watch.verdicts}
    assert outcomes == {
        "keeps": Outcome.SUCCEEDED, "waits": Outcome.DEAD, "t": Outcome.SUCCEEDED,
    }  # fmt: skip
