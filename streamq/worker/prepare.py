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
from streamq.worker.inflight import Delivery, InFlight

Prepared = tuple[Handler, Sequence[Job], tuple[Any, ...], dict[str, Any]]
"""A handler, the jobs that it is called for, and the arguments."""

_NO_FIELDS: list[bytes] = [b"type", b"", b"data", b"null"]


class Preparer:
    """Prepares the deliveries of one consumer.

    Args:
        put: takes the verdict on a job that is not run.
        clock: how far the server's clock is ahead of ours.
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
    ) -> None:
        self._stream = keys.stream
        self._group = keys.group
        self._consumer = consumer
        self._in_flight = in_flight
        self._handlers = handlers
        self._make_job = handlers.job
        self._put = put
        self._clock = clock
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
        handler = self._handlers.find(job.type)
        if handler is None or job.meta is not None:
            if job.meta is not None and job.ref is not None:
                self.has_offloaded = True
            now = time.time() + self._clock.ahead
            unwanted = verdict.unwanted(job, self._handlers, now)
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
            jobs = self._gather(job, handler)
            return handler, jobs, (jobs,), {}
        try:
            args, kwargs = handler.bind(job)
        except Exception as error:
            self._put(verdict.unbound(job, handler, error))
            return None
        return handler, (job,), args, kwargs

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

    def _gather(self, first: Job, handler: Handler) -> list[Job]:
        """Further jobs for the same batch handler, as far as they come next."""
        jobs, in_flight = [first], self._in_flight
        while len(jobs) < handler.batch:
            delivery = in_flight.next()
            if delivery is None:
                break
            try:
                job = self._job(delivery)
            except InvalidEntry:
                in_flight.put_back(delivery)
                break
            if job.meta is not None or self._handlers.find(job.type) is not handler:
                in_flight.put_back(delivery)
                break
            job.retries = handler.retries
            jobs.append(job)
        return jobs
