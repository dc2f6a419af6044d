"""What one job leaves behind is not there for the next."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest

from streamq import App, Settings

pytestmark = pytest.mark.anyio

current: ContextVar[int | None] = ContextVar("current", default=None)


@pytest.mark.parametrize("waits", [False, True])
async def test_context_variables_do_not_leak_between_jobs(app: App, waits: bool) -> None:
    found: list[tuple[int | None, int | None]] = []

    @app.handler("step")
    async def step(n: int) -> None:
        before = current.get()
        current.set(n)
        if waits:
            await asyncio.sleep(0)
        found.append((before, current.get()))

    await app.produce_many(("step", {"n": n}) for n in range(5))
    await app.worker(burst=True, settings=Settings(concurrency=1)).run()
    assert sorted(found, key=lambda pair: pair[1] or 0) == [(None, n) for n in range(5)]


async def test_a_handler_can_use_the_tasks_and_timeouts_of_asyncio(app: App) -> None:
    seen: list[str] = []

    @app.handler("step")
    async def step(n: int) -> None:
        current.set(n)
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            seen.append("timed out")
        async with asyncio.TaskGroup() as group:
            task = group.create_task(asyncio.sleep(0, current.get()))
        seen.append(f"child saw {task.result()}")

    await app.produce("step", {"n": 7})
    await app.worker(burst=True).run()
    assert seen == ["timed out", "child saw 7"]
