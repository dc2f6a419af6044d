"""The middle stage: long-lived runners that call the handlers.

A runner takes the next delivery from the hand, calls its handler in its own task and
hands in the verdict; no task is made for a job. Runners are woken one by one, each by
the one before it: handlers that never wait are all served by a single runner, without
a switch of tasks between them, and the others come up only when one does wait.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import orjson

from streamq.errors import Dead, InvalidArguments, InvalidEntry, JobTimeout, Retry
from streamq.events import Events, HandlerStuck, Outcome, Verdict
from streamq.handler import Handler
from streamq.job import Job, decode
from streamq.keys import GroupKeys
from streamq.server import Clock
from streamq.text import printable
from streamq.worker.calls import Caller
from streamq.worker.hand import Delivery, Hand
from streamq.worker.handlers import Handlers

TURNS = 64
"""Jobs after which a runner lets the other tasks have the event loop."""

STUCK_AFTER = 5.0
"""Seconds that a cancelled handler has for cleaning up."""

MAX_ERROR = 2000
"""Characters of an error that are kept."""

MAX_RESULT = 64 * 1024
"""Bytes of a result that are kept."""


class Cause(Enum):
    """Why a handler is cancelled."""

    TIMEOUT = "timeout"
    LEASE_LOST = "lease lost"
    SHUTDOWN = "shutdown"


class Slot:
    """One runner and what it is doing."""

    __slots__ = ("cause", "deadline", "handler", "jobs", "started", "stuck", "task")

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.jobs: Sequence[Job] = ()
        self.handler: Handler | None = None
        self.started = 0.0
        self.deadline = float("inf")
        self.cause: Cause | None = None
        self.stuck = False


class Runners:
    """Runs the handlers of one consumer.

    Args:
        put: takes each verdict.
        keep_results: whether results are wanted.
        clock: how far the server's clock is ahead of ours.
    """

    def __init__(
        self,
        keys: GroupKeys,
        consumer: str,
        *,
        hand: Hand,
        handlers: Handlers,
        caller: Caller,
        put: Callable[[Verdict], None],
        keep_results: bool,
        clock: Clock,
        events: Events,
    ) -> None:
        self._stream = keys.stream
        self._group = keys.group
        self._consumer = consumer
        self._hand = hand
        self._handlers = handlers
        self._caller = caller
        self._put = put
        self._keep_results = keep_results
        self._clock = clock
        self._events = events
        self._slots: set[Slot] = set()
        self._idle: deque[asyncio.Future[None]] = deque()
        self._waking = False
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = float("inf")

    @property
    def running(self) -> int:
        """How many handlers are running."""
        return sum(1 for slot in self._slots if slot.jobs)

    def wake(self) -> None:
        """Let one more runner look at the hand, unless one is on its way already."""
        if self._waking:
            return
        if self._idle:
            self._idle.popleft().set_result(None)
            self._waking = True
        elif len(self._slots) < self._hand.concurrency:
            self._start()
            self._waking = True

    def give_back(self) -> None:
        """Release what no runner has begun."""
        buffer = self._hand.buffer
        while buffer:
            id, _, attempt = buffer.popleft()
            if self._hand.held.get(id) == attempt:
                job = self._job(id, attempt, _EMPTY)
                self._put(Verdict(job, Outcome.RELEASED))

    def cancel(self, cause: Cause, ids: Sequence[str] | None = None) -> None:
        """Cancel the handlers of these jobs, or all that are running."""
        wanted = None if ids is None else set(ids)
        for slot in list(self._slots):
            if slot.jobs and (wanted is None or any(job.id in wanted for job in slot.jobs)):
                self._cancel(slot, cause)

    async def close(self) -> None:
        """End the runners. Handlers that still run are left to themselves."""
        if self._alarm is not None:
            self._alarm.cancel()
        tasks = [slot.task for slot in self._slots if slot.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STUCK_AFTER)

    # -- one runner -----------------------------------------------------------

    def _start(self) -> None:
        slot = Slot()
        self._slots.add(slot)
        slot.task = asyncio.get_running_loop().create_task(self._serve(slot))

    async def _serve(self, slot: Slot) -> None:
        hand, buffer = self._hand, self._hand.buffer
        turns = 0
        self._waking = False
        try:
            while not slot.stuck:
                if not buffer:
                    idle = asyncio.get_running_loop().create_future()
                    self._idle.append(idle)
                    await idle
                    self._waking = False
                    continue
                turns += 1
                if turns >= TURNS:
                    turns = 0
                    await asyncio.sleep(0)
                    continue
                delivery = buffer.popleft()
                if hand.held.get(delivery[0]) != delivery[2]:
                    continue  # its lease was lost before its turn came
                if buffer:
                    self.wake()
                await self._handle(slot, delivery)
        finally:
            self._slots.discard(slot)

    async def _handle(self, slot: Slot, delivery: Delivery) -> None:
        id, fields, attempt = delivery
        try:
            job = self._job(id, attempt, fields)
        except InvalidEntry as error:
            self._dead(self._job(id, attempt, _EMPTY), "invalid entry", error)
            return
        if job.meta is not None and not self._wanted(job):
            return
        handler = self._handlers.find(job.type)
        if handler is None:
            self._without_handler(job)
            return
        job.retries = handler.retries
        if handler.batch:
            jobs = self._gather(job, handler)
            await self._call(slot, handler, jobs, (jobs,), {})
            return
        try:
            args, kwargs = handler.bind(job)
        except InvalidEntry as error:
            self._dead(job, "invalid entry", error)
        except InvalidArguments as error:
            self._dead(job, "invalid arguments", error)
        else:
            await self._call(slot, handler, (job,), args, kwargs)

    async def _call(
        self, slot: Slot, handler: Handler, jobs: Sequence[Job],
        args: tuple[Any, ...], kwargs: dict[str, Any],
    ) -> None:  # fmt: skip
        slot.handler = handler
        slot.jobs = jobs
        slot.started = time.time()
        if handler.timeout is not None:
            self._watch(slot, handler.timeout)
        try:
            result = await self._caller.call(handler, jobs, args, kwargs)
        except asyncio.CancelledError:
            if slot.cause is None:
                raise  # the worker itself is being cancelled
            self._cancelled(slot, handler, jobs)
        except (Exception, SystemExit, BaseExceptionGroup) as error:
            self._failed(slot, handler, jobs, error)
        else:
            if not slot.stuck:
                self._succeeded(slot, jobs, result)
        finally:
            slot.jobs = ()
            slot.deadline = float("inf")
            if slot.cause is not None:
                slot.cause = None
                if slot.task is not None:
                    slot.task.uncancel()

    # -- verdicts -------------------------------------------------------------

    def _succeeded(self, slot: Slot, jobs: Sequence[Job], result: Any) -> None:
        now = time.time()
        raw, note = b"", ""
        if result is not None and self._keep_results:
            raw, note = _encode_result(result)
        for job in jobs:
            self._put(Verdict(job, Outcome.SUCCEEDED, slot.started, now, raw, error=note))

    def _failed(
        self, slot: Slot, handler: Handler, jobs: Sequence[Job], error: BaseException
    ) -> None:
        if slot.stuck:
            return
        now = time.time()
        text = _describe(error)
        for job in jobs:
            job.emitted = None
            if isinstance(error, Dead):
                outcome, reason, delay = Outcome.DEAD, "gave up", 0.0
            elif job.attempt > handler.retries:
                outcome, reason, delay = Outcome.DEAD, "retries exhausted", 0.0
            else:
                outcome, reason = Outcome.RETRY, ""
                asked = error.delay if isinstance(error, Retry) else None
                delay = handler.backoff.delay(job.attempt) if asked is None else asked
            self._put(
                Verdict(
                    job, outcome, slot.started, now,
                    reason=reason, error=text, delay=delay, exception=error,
                )
            )  # fmt: skip

    def _cancelled(self, slot: Slot, handler: Handler, jobs: Sequence[Job]) -> None:
        if slot.stuck or slot.cause is Cause.LEASE_LOST:
            return
        if slot.cause is Cause.SHUTDOWN:
            for job in jobs:
                job.emitted = None
                self._put(Verdict(job, Outcome.RELEASED, slot.started, time.time()))
            return
        error = JobTimeout(f"ran longer than its timeout of {handler.timeout:g} s")
        self._failed(slot, handler, jobs, error)

    def _dead(self, job: Job, reason: str, error: object) -> None:
        self._put(Verdict(job, Outcome.DEAD, reason=reason, error=printable(error, MAX_ERROR)))

    def _without_handler(self, job: Job) -> None:
        if self._handlers.ignores(job.type):
            self._put(Verdict(job, Outcome.SKIPPED))
        else:
            named = f"the type {printable(job.type)!r}" if job.type else "jobs without a type"
            self._dead(job, "no handler", f"this group has no handler for {named}")

    def _wanted(self, job: Job) -> bool:
        """Whether the group should run a job with fields of streamq's own."""
        if job.only_for is not None and job.only_for != self._group:
            self._put(Verdict(job, Outcome.SKIPPED))
            return False
        try:
            limit = job.expires_at
            expired = limit is not None and limit <= time.time() + self._clock.ahead
        except InvalidEntry as error:
            self._dead(job, "invalid entry", error)
            return False
        if expired:
            now = time.time()
            note = "expired before its turn came"
            self._put(Verdict(job, Outcome.EXPIRED, now, now, error=note))
        return not expired

    def _job(self, id: str, attempt: int, fields: list[bytes]) -> Job:
        return Job(id, self._stream, self._group, self._consumer, attempt, decode(fields))

    def _gather(self, first: Job, handler: Handler) -> list[Job]:
        """Further jobs for the same batch handler, as far as they come next."""
        jobs = [first]
        hand, buffer = self._hand, self._hand.buffer
        while buffer and len(jobs) < handler.batch:
            id, fields, attempt = buffer[0]
            if hand.held.get(id) == attempt:
                try:
                    job = self._job(id, attempt, fields)
                except InvalidEntry:
                    break
                if job.meta is not None or self._handlers.find(job.type) is not handler:
                    break
                job.retries = handler.retries
                jobs.append(job)
            buffer.popleft()
        return jobs

    # -- timeouts: one timer for all runners ----------------------------------

    def _watch(self, slot: Slot, timeout: float) -> None:
        loop = asyncio.get_running_loop()
        slot.deadline = loop.time() + timeout
        if slot.deadline < self._alarm_at:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm_at = slot.deadline
            self._alarm = loop.call_at(slot.deadline, self._ring)

    def _ring(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for slot in list(self._slots):
            if slot.deadline <= now:
                if slot.cause is None:
                    self._cancel(slot, Cause.TIMEOUT)
                else:
                    self._abandon(slot)
        self._alarm, self._alarm_at = None, min(
            (slot.deadline for slot in self._slots), default=float("inf")
        )  # fmt: skip
        if self._alarm_at != float("inf"):
            self._alarm = loop.call_at(self._alarm_at, self._ring)

    def _cancel(self, slot: Slot, cause: Cause) -> None:
        if slot.cause is None and slot.task is not None:
            slot.cause = cause
            slot.task.cancel()
            self._watch(slot, STUCK_AFTER)

    def _abandon(self, slot: Slot) -> None:
        """Settle without a handler that ignores its cancellation, and replace its runner."""
        assert slot.handler is not None
        self._cancelled(slot, slot.handler, slot.jobs)
        slot.stuck = True
        self._slots.discard(slot)
        for job in slot.jobs:
            self._events.tell(HandlerStuck(job))
        if self._hand.buffer:
            self.wake()


_EMPTY: list[bytes] = [b"type", b"", b"data", b"null"]


def _describe(error: BaseException) -> str:
    if isinstance(error, Dead | Retry | JobTimeout):
        return printable(error, MAX_ERROR)
    if isinstance(error, SystemExit):
        return f"the handler called sys.exit({printable(error.code, 100)})"
    text = printable(error, MAX_ERROR)
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def _encode_result(result: Any) -> tuple[bytes, str]:
    try:
        raw = orjson.dumps(result)
    except (TypeError, ValueError, RecursionError) as error:
        return b"", f"the result was not kept: {printable(error, 200)}"
    if len(raw) > MAX_RESULT:
        return b"", f"the result was not kept: {len(raw):,} bytes, the limit is {MAX_RESULT:,}"
    return raw, ""
