"""The event loop of a program of ours."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

LAST_WAIT = 1.0
"""Seconds that tasks left over by an async program have for their end."""


def run_async(main: Callable[[], Coroutine[Any, Any, T]], *, fast: bool = True) -> T:
    """Run an async function in an event loop of its own.

    It ends even if a task does not: one that ignores its cancellation is left behind.

    Args:
        fast: take uvloop's where there is one. Its import takes longer than a short program
            can win back.
    """
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if fast and sys.platform != "win32":
        try:
            import uvloop
        except ImportError:
            pass
        else:
            factory = uvloop.new_event_loop
    runner = asyncio.Runner(loop_factory=factory)
    try:
        return runner.run(main())
    finally:
        loop = runner.get_loop()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=LAST_WAIT))
        if not asyncio.all_tasks(loop):
            runner.close()  # which waits for every task
