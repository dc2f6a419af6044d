"""The middle stage: long-lived runners that call the handlers.

A runner takes the next delivery in flight, calls its handler in its own task and hands in the
verdict; no task is made for a job. Runners are woken one by one, each by the one before it:
handlers that never wait are all served by a single runner, without a switch of tasks between
them, and the others come up only when one does wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import copy_context
from functools import partial
from typing import Any

from streamq import verdict
from streamq.errors import NoMainGuard
from streamq.handlers.table import Handlers
from streamq.job import Job
from streamq.running import RUNNING
from streamq.server import Clock
from streamq.signals import HandlerAbandoned, Signals
from streamq.verdict import Verdict
from streamq.wire.keys import GroupKeys
from streamq.worker.batch import Batch
from streamq.worker.calling import Caller, NotBegun
from streamq.worker.deadlines import NEVER, Deadlines
from streamq.worker.executors import UNDONE, Executors, undone
from streamq.worker.gathering import Gathering
from streamq.worker.inflight import InFlight, Waiting
from streamq.worker.prepare import Prepared, Preparer
from streamq.worker.shares import Turns
from streamq.worker.slot import Cause, Slot

TURNS = 64
"""Jobs after which a runner lets the other tasks have the event loop."""

STUCK_AFTER = 5.0
"""Seconds that a cancelled handler has for cleaning up."""


class Runners:
    """Runs the handlers of one consumer.

    Args:
        put: takes each verdict.
        keep_results: whether results are wanted.
        clock: how far the server's clock is ahead of ours.
        fatal: called with an error that every job would meet.
        share: the stream's share of the slots, where streams share them.
        load: reads data that is kept outside the stream.
    """

    def __init__(
        self,
        keys: GroupKeys,
        consumer: str,
        *,
        in_flight: InFlight,
        handlers: Handlers,
        executors: Executors,
        put: Callable[[Verdict], None],
        keep_results: bool,
        clock: Clock,
        signals: Signals,
        fatal: Callable[[Exception], None],
        share: Turns | None = None,
        load: Callable[[Job], Awaitable[None]] | None = None,
    ) -> None:
        self._in_flight = in_flight
        self._put = put
        self._keep_results = keep_results
        self._signals = signals
        self._fatal = fatal
        self._share = share
        if share is not None:
            share.join(in_flight, self.wake)
        self._slots: set[Slot] = set()
        self._gathering: Gathering | None = None
        if handlers.largest_gathering:
            room = max(in_flight.prefetch, handlers.largest_gathering)
            in_flight.apart = self._gathering = Gathering(
                in_flight, room, running=self._in_batches, wake=self.wake
            )
        self._preparer = Preparer(
            keys, consumer, in_flight=in_flight, handlers=handlers, put=put, clock=clock,
            gathering=self._gathering,
        )  # fmt: skip
        self._abandoned: set[Slot] = set()
        self._idle: deque[asyncio.Future[None]] = deque()
        self._waking = False
        self._ending = False
        self._closed = False
        self._deadlines = Deadlines(self._slots, self._missed)
        self._caller = Caller(executors, self._deadlines, load=load, bind=self._preparer.bind)
        # Where no batch gathers, no delivery is asked whether it is one.
        preparer = self._preparer
        self._prepare: Callable[[Any], Prepared | None] = (
            preparer.prepare if self._gathering is None else preparer.prepare_or_begin
        )

    @property
    def running(self) -> int:
        """How many handlers are running."""
        return sum(1 for slot in self._slots if slot.jobs)

    @property
    def gathered(self) -> int:
        """How many jobs are in batches that no runner has begun."""
        return 0 if self._gathering is None else self._gathering.count

    @property
    def have_offloaded(self) -> bool:
        """Whether there has been a job whose data is kept outside the stream."""
        return self._preparer.has_offloaded

    @property
    def stuck(self) -> int:
        """How many handlers run on after their jobs were settled without them."""
        return len(self._abandoned)

    def wake(self) -> None:
        """Let one more runner look for a delivery, unless one is on its way already."""
        if self._ending:
            self.give_back()
            return
        if self._waking:
            return
        while self._idle:
            idle = self._idle.popleft()
            if not idle.done():  # cancelled, that is
                idle.set_result(None)
                self._waking = True
                return
        if len(self._slots) < self._in_flight.concurrency:
            slot = Slot()
            self._slots.add(slot)
            slot.task = asyncio.get_running_loop().create_task(self._serve(slot))
            self._waking = True

    def give_back(self) -> None:
        """Release what no runner has begun, and whatever still comes: begin nothing more."""
        self._ending = True
        self.release_waiting()

    def release_waiting(self) -> None:
        """Release what no runner has begun."""
        while (first := self._in_flight.next()) is not None:
            if not isinstance(first, Batch):
                self._put(verdict.released(self._preparer.empty_job(first)))
            elif self._gathering is not None:
                self._release(self._gathering.begin(first))
        if self._gathering is not None:
            self._release(self._gathering.give_up())

    def hand_over(self) -> None:
        """Let no batch that gathers wait any longer: nothing is there to come to it."""
        if self._gathering is not None:
            self._gathering.hand_over_all()

    def no_more(self) -> None:
        """Take note that no more deliveries will come: batches wait for nothing."""
        if self._gathering is not None:
            self._gathering.hurry()

    def cancel(self, cause: Cause, ids: Sequence[str] | None = None) -> None:
        """Cancel the handlers of these jobs, or all that are running."""
        wanted = None if ids is None else set(ids)
        for slot in list(self._slots):
            meant = [job for job in slot.jobs if wanted is None or job.id in wanted]
            if cause is Cause.CANCELLED:
                for job in meant:
                    job.cancelled = True
                if len(meant) < len(slot.jobs):
                    continue  # a batch goes on as long as one of its jobs is wanted
            if meant:
                self._cancel(slot, cause)

    async def close(self) -> None:
        """End the runners. Handlers that do not let themselves be cancelled are left alone."""
        self._ending = self._closed = True
        self._in_flight.forget_waiting()
        if self._gathering is not None:
            self._gathering.give_up()
        self._deadlines.stop()
        tasks = [slot.task for slot in self._slots if slot.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=STUCK_AFTER)
            self._abandoned.update(slot for slot in self._slots if slot.task in pending)

    # -- one runner -----------------------------------------------------------

    async def _serve(self, slot: Slot) -> None:
        in_flight, prepare = self._in_flight, self._prepare
        next_delivery = in_flight.next if self._share is None else partial(self._share.take, slot)
        RUNNING.set(slot)
        enter, clean = self._caller.enter, copy_context()
        turns = 0
        self._waking = False
        try:
            while not slot.abandoned:
                if turns >= TURNS:
                    turns = 0
                    await asyncio.sleep(0)
                delivery = next_delivery()
                if delivery is None:
                    await self._until_woken()
                    continue
                turns += 1
                if not self._waking and in_flight.waiting:
                    self.wake()
                try:
                    prepared = prepare(delivery)
                except Exception as error:
                    self._broken(delivery, error)
                    continue
                if prepared is None:
                    continue
                # Awaited here, not in a coroutine of its own, which would be one more a job.
                try:
                    result = await enter(slot, prepared)
                except BaseException as error:
                    if not self._failed(slot, error):
                        raise
                else:
                    self._succeeded(slot, result)
                    del result  # it would be kept until the next one
                finally:
                    slot.jobs, slot.deadline = (), NEVER
                    if slot.cause is not None:
                        _forget_cause(slot)
                try:
                    changed = copy_context() != clean
                except Exception:
                    changed = True  # by a value that cannot be compared
                if changed or slot.asked:
                    # The next job must not find there what another has left. A context of its
                    # own for every job would cost each of them what now only these pay.
                    return
        finally:
            clean.run(self._replace, slot)

    async def _until_woken(self) -> None:
        idle = asyncio.get_running_loop().create_future()
        self._idle.append(idle)
        self._in_flight.look_for_room()  # a handler has ended, although nothing is settled yet
        await idle
        self._waking = False

    def _replace(self, slot: Slot) -> None:
        """Let a new runner take over from one that ends."""
        self._slots.discard(slot)
        if self._share is not None:
            self._share.release(slot)
        if self._in_flight.waiting and not slot.abandoned:
            self.wake()
        self._abandoned.discard(slot)
        slot.task = None  # its context has the slot

    def _broken(self, first: Waiting, error: Exception) -> None:
        """A defect, not the handler's; the job must not stay in flight for ever."""
        jobs = first.jobs if isinstance(first, Batch) else [self._preparer.empty_job(first)]
        for job in jobs:
            self._put(verdict.dead(job, "internal error", repr(error)))

    def _release(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._put(verdict.released(job))

    def _in_batches(self) -> int:
        """How many jobs the running batches that had to gather have, over one each."""
        return sum(
            len(slot.jobs) - 1
            for slot in self._slots
            if slot.jobs and slot.handler is not None and slot.handler.gathers
        )

    def _succeeded(self, slot: Slot, result: Any) -> None:
        if slot.abandoned:
            return
        if result is not None and isinstance(result, UNDONE):
            self._failed(slot, undone(result))  # a forgotten await
            return
        for job in slot.jobs:
            if job.cancelled:
                self._put(verdict.cancelled(job, slot.started))
                continue
            try:
                self._put(verdict.succeeded(job, slot.started, result, self._keep_results))
            except Exception as error:
                self._broken((job.id, [], job.attempt), error)

    def _failed(self, slot: Slot, error: BaseException) -> bool:
        """Hand in the verdicts; ``False`` if the runner is to end as well."""
        cancelled = isinstance(error, asyncio.CancelledError)
        if cancelled and slot.cause is not None:
            self._settle_cancelled(slot, error)
            return True
        if isinstance(error, NoMainGuard):
            for job in slot.jobs:
                self._put(verdict.released(job))
            self._fatal(error)
            return True
        if isinstance(error, NotBegun) and slot.handler is not None:
            for job in slot.jobs:
                self._put(verdict.unbound(job, slot.handler, error.cause))
            return True
        if isinstance(error, KeyboardInterrupt) or (cancelled and self._closed):
            return False
        # Where it is cancelled now, the handler has cancelled its own task, or awaited what
        # something else cancelled.
        if not slot.abandoned and slot.handler is not None:
            for job in slot.jobs:
                if job.cancelled:
                    self._put(verdict.cancelled(job, slot.started))
                    continue
                self._put(verdict.failed(job, slot.handler, slot.started, error))
        # A task that is to end does, and another one takes over.
        return not (cancelled and slot.task is not None and slot.task.cancelling())

    # -- cancelling -----------------------------------------------------------

    def _missed(self, slot: Slot) -> None:
        if slot.cause is None:
            self._cancel(slot, Cause.TIMEOUT)
        else:
            self._abandon(slot)

    def _cancel(self, slot: Slot, cause: Cause) -> None:
        if slot.cause is None and slot.task is not None:
            slot.cause = cause
            slot.task.cancel(cause.value)  # so that middleware can tell why
            self._deadlines.set(slot, STUCK_AFTER)

    def _abandon(self, slot: Slot) -> None:
        """Settle without a handler that ignores its cancellation, and replace its runner."""
        self._settle_cancelled(slot)
        slot.abandoned = True
        slot.deadline = NEVER
        self._slots.discard(slot)
        self._abandoned.add(slot)
        if self._share is not None:
            self._share.release(slot)
        for job in slot.jobs:
            self._signals.send(HandlerAbandoned(job))
        if self._in_flight.waiting:
            self.wake()

    def _settle_cancelled(self, slot: Slot, error: BaseException | None = None) -> None:
        if slot.abandoned or slot.handler is None:
            return
        for job in slot.jobs:
            if not self._in_flight.holds(job.id, job.attempt):
                continue  # lost
            if slot.cause is Cause.TIMEOUT:
                self._put(verdict.timed_out(job, slot.handler, slot.started, error))
            elif job.cancelled:
                self._put(verdict.cancelled(job, slot.started))
            else:
                self._put(verdict.released(job, slot.started))


def _forget_cause(slot: Slot) -> None:
    """The handler has ended: its task is not being cancelled any longer."""
    slot.cause = None
    if slot.task is not None:
        slot.task.uncancel()
