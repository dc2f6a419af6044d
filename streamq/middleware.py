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

An :class:`Instrumentation` is one object for all of it: handling, batches and producing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from streamq.job import Job

if TYPE_CHECKING:
    from streamq.enqueued import AllEnqueued, Enqueued
    from streamq.new_job import NewJob

T = TypeVar("T")

CallNext = Callable[[Job], Awaitable[Any]]
"""Handles the job with all that comes after this middleware, and returns the result."""

Middleware = Callable[[Job, CallNext], Awaitable[Any]]
"""Wraps the handling of one job, in the event loop whatever the handler runs in."""

BatchNext = Callable[[Sequence[Job]], Awaitable[Any]]
"""Handles the jobs of a batch with all that comes after this middleware."""

ProduceNext = Callable[["NewJob"], Awaitable["Enqueued"]]
"""Writes the job with all that comes after this middleware."""

ProduceMiddleware = Callable[["NewJob", ProduceNext], Awaitable["Enqueued"]]
"""Wraps the producing of one job."""

ProduceManyNext = Callable[[AsyncIterator["NewJob"]], AsyncGenerator["AllEnqueued", None]]
"""Writes jobs as they come with all that comes after this middleware, and yields each chunk."""


class Instrumentation:
    """A middleware for all that an app does, such as tracing.

    In ``App(middleware=[…])`` it wraps the handling of jobs, that of batches, and the producing;
    in ``App(produce_middleware=[…])`` only that, and in the middleware of a group only the
    handling. What a subclass does not override goes on without it.
    """

    def for_app(self, app: Any) -> Self:
        """The one that works for this app: itself, or one like it that knows the app."""
        return self

    async def __call__(self, job: Job, call_next: CallNext, /) -> Any:
        """Wraps the handling of one job."""
        return await call_next(job)

    async def handle_batch(self, jobs: Sequence[Job], call_next: BatchNext) -> Any:
        """Wraps the handling of the jobs of one batch."""
        return await call_next(jobs)

    async def produce(self, stream: str, job: NewJob, call_next: ProduceNext) -> Enqueued:
        """Wraps the producing of one job."""
        return await call_next(job)

    def produce_many(
        self, stream: str, jobs: AsyncIterator[NewJob], call_next: ProduceManyNext
    ) -> AsyncGenerator[AllEnqueued, None]:
        """Wraps the producing of many, which stays pipelined."""
        return call_next(jobs)


IN_PROCESS: ContextVar[tuple[Callable[[], AbstractContextManager[object]], ...]] = ContextVar(
    "IN_PROCESS", default=()
)
"""What is entered around a handler in a process, in that process."""


@contextmanager
def also_in_process(manager: Callable[[], AbstractContextManager[object]]) -> Iterator[None]:
    """Have a context manager entered around a handler that runs in a process, in that process.

    Args:
        manager: makes it, there: a function that :mod:`pickle` can send.
    """
    token = IN_PROCESS.set((*IN_PROCESS.get(), manager))
    try:
        yield
    finally:
        IN_PROCESS.reset(token)


def around_handling(middleware: Sequence[Middleware], handle: CallNext) -> CallNext:
    """``handle`` with the middleware around it."""
    for outer in reversed(middleware):
        handle = _handling(outer, handle)
    return handle


def around_batch(middleware: Sequence[Instrumentation], handle: BatchNext) -> BatchNext:
    """``handle`` with the middleware around it."""
    for outer in reversed(middleware):
        handle = partial(_swapped, outer.handle_batch, handle)
    return handle


def around_producing(
    middleware: Sequence[ProduceMiddleware | Instrumentation], stream: str, write: ProduceNext
) -> ProduceNext:
    """``write`` with the middleware around it."""
    for outer in reversed(middleware):
        if isinstance(outer, Instrumentation):
            write = partial(_swapped, partial(outer.produce, stream), write)
        else:
            write = partial(_swapped, outer, write)
    return write


def around_producing_many(
    middleware: Sequence[Instrumentation], stream: str, write: ProduceManyNext
) -> ProduceManyNext:
    """``write`` with the middleware around it."""
    for outer in reversed(middleware):
        write = partial(_swapped, partial(outer.produce_many, stream), write)
    return write


def only_instrumentation(middleware: Sequence[object]) -> list[Instrumentation] | None:
    """The middleware, if it is of the kind that wraps more than one job; else ``None``."""
    found = [one for one in middleware if isinstance(one, Instrumentation)]
    return found if len(found) == len(middleware) else None


def _handling(middleware: Middleware, call_next: CallNext) -> CallNext:
    return lambda job: middleware(job, call_next)


def _swapped(outer: Callable[[Any, Any], T], call_next: Any, what: Any) -> T:
    return outer(what, call_next)
