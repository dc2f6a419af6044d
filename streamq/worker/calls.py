"""Calling a handler that would block the event loop: in a thread or a process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from anyio import CapacityLimiter, to_process, to_thread

from streamq.handler import Handler, Mode
from streamq.job import Emitted, Job


class Caller:
    """Calls ``def`` handlers.

    Args:
        threads: how many ``def`` handlers run at once.
        processes: how many CPU-bound handlers run at once, each in a process of its own.
    """

    def __init__(self, threads: int, processes: int) -> None:
        self._threads = CapacityLimiter(threads)
        self._processes = CapacityLimiter(processes)

    async def call(
        self, handler: Handler, jobs: Sequence[Job], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Call a handler and return its result, or raise what it raised.

        When cancelled, a handler in a process is killed; one in a thread cannot be
        stopped, and runs on with nobody waiting for it.
        """
        if handler.mode is Mode.THREAD:
            return await to_thread.run_sync(
                partial(handler.function, *args, **kwargs),
                abandon_on_cancel=True,
                limiter=self._threads,
            )
        result, emitted = await to_process.run_sync(
            _in_process, handler.function, jobs, args, kwargs,
            cancellable=True, limiter=self._processes,
        )  # fmt: skip
        for job, events in zip(jobs, emitted, strict=True):
            job.emitted = events
        return result


def _in_process(
    function: Callable[..., Any], jobs: Sequence[Job], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, list[list[Emitted] | None]]:
    # Arguments and jobs come over in one message, so they are the same objects here.
    result = function(*args, **kwargs)
    return result, [job.emitted for job in jobs]
