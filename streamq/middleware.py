"""Middleware: code around the handling of one job, and around the producing of one.

::

    async def timed(job: Job, call_next: CallNext) -> Any:
        started = time.monotonic()
        try:
            return await call_next(job)
        finally:
            print(job.id, time.monotonic() - started)

    app = App(middleware=[timed])

What comes before ``call_next`` happens before the handler, what comes after it afterwards. A
middleware sees the handler's result and its exceptions, and may replace both; what it raises
itself counts as the handler's. The first in the list is the outermost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from streamq.job import Job

if TYPE_CHECKING:
    from streamq.enqueued import Enqueued
    from streamq.new_job import NewJob

CallNext = Callable[[Job], Awaitable[Any]]
"""Handles the job with all that comes after this middleware, and returns the result."""

Middleware = Callable[[Job, CallNext], Awaitable[Any]]
"""Wraps the handling of one job, in the event loop whatever the handler runs in."""

ProduceNext = Callable[["NewJob"], Awaitable["Enqueued"]]
"""Writes the job with all that comes after this middleware."""

ProduceMiddleware = Callable[["NewJob", ProduceNext], Awaitable["Enqueued"]]
"""Wraps the producing of one job."""


def around_handling(middleware: Sequence[Middleware], handle: CallNext) -> CallNext:
    """``handle`` with the middleware around it."""
    for outer in reversed(middleware):
        handle = _handling(outer, handle)
    return handle


def around_producing(middleware: Sequence[ProduceMiddleware], write: ProduceNext) -> ProduceNext:
    """``write`` with the middleware around it."""
    for outer in reversed(middleware):
        write = _producing(outer, write)
    return write


def _handling(middleware: Middleware, call_next: CallNext) -> CallNext:
    return lambda job: middleware(job, call_next)


def _producing(middleware: ProduceMiddleware, call_next: ProduceNext) -> ProduceNext:
    return lambda job: middleware(job, call_next)
