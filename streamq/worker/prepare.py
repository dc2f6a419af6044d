"""From a delivery to a call: the job, its handler and the arguments, or a verdict without."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from streamq import verdict
from streamq.errors import InvalidEntry
from streamq.handlers.handler import Handler
from streamq.handlers.table import Handlers
from streamq.job import Job
from streamq.server import Clock
from streamq.verdict import Verdict
from streamq.wire.entry import decode
from streamq.wire.keys import GroupKeys
from streamq.worker.batch import Batch
from streamq.worker.gathering import Gathering
from streamq.worker.inflight import Delivery, InFlight, Waiting

Prepared = tuple[Handler, Sequence[Job], tuple[Any, ...], dict[str, Any]]
"""A handler, the jobs that it is called for, and the arguments."""

_NO_FIELDS: list[bytes] = [b"type", b"", b"data", b"null"]


class Preparer:
    """Prepares the deliveries of one consumer.

    Args:
        put: takes the verdict on a job that is not run.
        clock: how far the server's clock is ahead of ours.
        gathering: the batches that gather, where a handler has such.
    """

    def __init__(
        self,
        keys: GroupKeys,
        consumer: str,
        *,
        in_flight: InFlight,
        handlers: Handlers,
        put: Callable[[Verdict], None],
        clock: Clock,
        gathering: Gathering | None,
    ) -> None:
        self._stream = keys.stream
        self._group = keys.group
        self._consumer = consumer
        self._in_flight = in_flight
        self._handlers = handlers
        self._make_job = handlers.job
        self._put = put
        self._clock = clock
        self._gathering = gathering
        self.has_offloaded = False
        """Whether there has been a job whose data is kept outside the stream."""

    def prepare(self, delivery: Delivery) -> Prepared | None:
        """What to call for a delivery; ``None`` when its verdict is clear without."""
        try:
            id, fields, attempt = delivery
            job = self._make_job(
                id, self._stream, self._group, self._consumer, attempt, decode(fields)
            )
        except InvalidEntry as error:
            self._put(verdict.dead(self.empty_job(delivery), "invalid entry", error))
            return None
        if self._in_flight.cancelled and job.id in self._in_flight.cancelled:
            self._put(verdict.cancelled(job))
            return None
        handler = self._handlers.find(job.type)
        if handler is None or job.meta is not None:
            if job.meta is not None and job.ref is not None:
                self.has_offloaded = True
            unwanted = self._unwanted(job)
            if unwanted is not None:
                self._put(unwanted)
                return None
            assert handler is not None
            if job.ref is not None:
                job.retries = handler.retries
                return replace(handler, loads=True), [job], (), {}
        assert handler is not None
        job.retries = handler.retries
        if handler.batch:
            if handler.gathers:
                return self._gather(job, handler)
            jobs = self._take_along(job, handler)
            return handler, jobs, (jobs,), {}
        try:
            args, kwargs = handler.bind(job)
        except Exception as error:
            self._put(verdict.unbound(job, handler, error))
            return None
        return handler, (job,), args, kwargs

    def prepare_or_begin(self, first: Waiting) -> Prepared | None:
        """What to call for a delivery, or for a batch that has gathered."""
        return self._begin(first) if isinstance(first, Batch) else self.prepare(first)

    def bind(self, handler: Handler, jobs: Sequence[Job]) -> Prepared:
        """What to call for jobs whose data had to be read first.

        Raises:
            Exception: it does not become arguments.
        """
        handler = replace(handler, loads=False)
        if handler.batch:
            return handler, jobs, (jobs,), {}
        return handler, jobs, *handler.bind(jobs[0])

    def empty_job(self, delivery: Delivery) -> Job:
        """A job for a verdict that needs none of the entry's fields but where its data is."""
        id, fields, attempt = delivery
        job = self._job((id, _NO_FIELDS, attempt))
        try:
            job.meta = decode(fields)[3]
        except InvalidEntry:
            pass
        return job

    def _job(self, delivery: Delivery) -> Job:
        id, fields, attempt = delivery
        wire = decode(fields)
        return self._make_job(id, self._stream, self._group, self._consumer, attempt, wire)

    def _unwanted(self, job: Job) -> Verdict | None:
        return verdict.unwanted(job, self._handlers, time.time() + self._clock.ahead)

    def _take_along(self, first: Job, handler: Handler) -> list[Job]:
        """Further jobs for the same batch handler, as far as they come next."""
        jobs, in_flight = [first], self._in_flight
        while len(jobs) < handler.batch:
            delivery = in_flight.next()
            if delivery is None:
                break
            try:
                job = None if isinstance(delivery, Batch) else self._job(delivery)
            except InvalidEntry:
                job = None
            if (
                job is None
                or (job.meta is not None and (job.ref is not None or self._unwanted(job)))
                or job.id in in_flight.cancelled
                or self._handlers.find(job.type) is not handler
            ):
                in_flight.put_back(delivery)
                break
            job.retries = handler.retries
            jobs.append(job)
        return jobs

    def _gather(self, job: Job, handler: Handler) -> Prepared | None:
        """Put a job into its batch, and those that come next into theirs, until one is full."""
        assert self._gathering is not None
        while True:
            full = self._gathering.add(job, handler)
            if full is not None:
                return self._begin(full)
            found = self._next_that_gathers()
            if found is None:
                return None
            job, handler = found

    def _next_that_gathers(self) -> tuple[Job, Handler] | None:
        delivery = self._in_flight.next()
        if delivery is None:
            return None
        try:
            job = None if isinstance(delivery, Batch) else self._job(delivery)
        except InvalidEntry:
            job = None
        if job is not None and (job.meta is None or self._unwanted(job) is None):
            handler = self._handlers.find(job.type)
            if handler is not None and handler.gathers:
                return job, handler
        self._in_flight.put_back(delivery)
        return None

    def _begin(self, batch: Batch) -> Prepared | None:
        """Call a batch, without those that have expired or were cancelled while they waited."""
        assert self._gathering is not None
        jobs = []
        for job in self._gathering.begin(batch):
            unwanted = None if job.meta is None else self._unwanted(job)
            if job.id in self._in_flight.cancelled:
                unwanted = verdict.cancelled(job)
            if unwanted is None:
                jobs.append(job)
            else:
                self._put(unwanted)
        return (batch.handler, jobs, (jobs,), {}) if jobs else None
