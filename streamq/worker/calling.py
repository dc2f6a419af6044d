"""From what is prepared to a call: in the event loop, in a thread or in a process."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from streamq.handlers.handler import Handler, Mode
from streamq.job import Job
from streamq.middleware import around_batch, around_handling, only_instrumentation
from streamq.worker.deadlines import Deadlines
from streamq.worker.executors import Executors
from streamq.worker.prepare import Prepared
from streamq.worker.slot import Slot

_ASYNC = Mode.ASYNC  # Python 3.11 is slow to look a member up


class NotBegun(Exception):
    """The data of a job could not be read, or does not fit: its handler was not called.

    Attributes:
        cause: why.
    """

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Caller:
    """Calls handlers.

    Args:
        deadlines: by which their timeouts are kept.
        load: reads data that is kept outside the stream.
        bind: makes the arguments when it is there.
    """

    def __init__(
        self,
        executors: Executors,
        deadlines: Deadlines[Slot],
        *,
        load: Callable[[Job], Awaitable[None]] | None,
        bind: Callable[[Handler, Sequence[Job]], Prepared],
    ) -> None:
        self._executors = executors
        self._deadlines = deadlines
        self._load = load
        self._bind = bind

    def enter(self, slot: Slot, prepared: Prepared) -> Awaitable[Any]:
        """Call the handler; what is returned is to be awaited."""
        handler, slot.jobs, args, kwargs = prepared
        slot.handler = handler
        if not handler.direct:
            return self._enter_indirectly(slot, prepared)
        slot.started = time.time()
        if handler.timeout is not None:
            self._limit(slot, handler.timeout)
        call: Awaitable[Any] = handler.function(*args, **kwargs)
        return call

    def _enter_indirectly(self, slot: Slot, prepared: Prepared) -> Awaitable[Any]:
        """Call a handler in a thread or a process, or one with middleware around it."""
        handler, jobs, args, kwargs = prepared
        if handler.loads:
            return self._load_and_enter(slot, handler, jobs)

        def call(*_: object) -> Awaitable[Any]:
            if handler.mode is _ASYNC:
                self._begun(slot, handler)
                result: Awaitable[Any] = handler.function(*args, **kwargs)
                return result
            # The timeout does not count the wait for a thread or a process.
            begun = partial(self._begun, slot, handler)
            return self._executors.call(handler, jobs, args, kwargs, begun)

        slot.started = 0.0
        if not handler.middleware:
            return call()
        slot.started = time.time()
        if handler.batch:
            return around_batch(only_instrumentation(handler.middleware) or (), call)(jobs)
        return around_handling(handler.middleware, call)(jobs[0])

    async def _load_and_enter(self, slot: Slot, handler: Handler, jobs: Sequence[Job]) -> Any:
        """Read the jobs' data, which is outside the stream, and call their handler."""
        slot.started = 0.0
        try:
            for job in jobs:
                if self._load is not None:
                    await self._load(job)
            prepared = self._bind(handler, jobs)
        except Exception as error:
            raise NotBegun(error) from error
        return await self.enter(slot, prepared)

    def _begun(self, slot: Slot, handler: Handler) -> None:
        slot.started = time.time()
        if handler.timeout is not None:
            self._limit(slot, handler.timeout)

    def _limit(self, slot: Slot, timeout: float) -> None:
        if slot.cause is None:
            self._deadlines.set(slot, timeout)
