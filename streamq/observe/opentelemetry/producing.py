"""The spans of producing."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from copy import copy
from time import perf_counter

from opentelemetry.context import Context, get_current
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import (
    Link,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
)

from streamq.enqueued import AllEnqueued, Enqueued
from streamq.middleware import ProduceManyNext, ProduceNext
from streamq.new_job import NewJob
from streamq.observe.opentelemetry import names
from streamq.observe.opentelemetry.carrier import attached, from_text, split, within
from streamq.observe.opentelemetry.measures import Measures
from streamq.observe.opentelemetry.outcome import type_name
from streamq.text import printable


class Producing:
    """Makes the spans of producing to a stream.

    Args:
        at: the attributes that everything at the stream has.
    """

    def __init__(
        self,
        tracer: Tracer,
        measures: Measures,
        propagator: TextMapPropagator,
        at: Mapping[str, str | int],
    ) -> None:
        self._tracer = tracer
        self._measures = measures
        self._propagator = propagator
        self._at = at
        self._stream = at[names.DESTINATION]

    async def one(self, job: NewJob, call_next: ProduceNext) -> Enqueued:
        """Write a job. A trace that it was given is left as it is, and linked to."""
        later = job.delay is not None or job.at is not None
        attributes = self._attributes("schedule" if later else "send", "send")
        given = from_text(job.trace)
        span = self._tracer.start_span(
            f"{attributes[names.OPERATION]} {self._stream}",
            kind=SpanKind.PRODUCER if job.trace is None else SpanKind.CLIENT,
            attributes={**attributes, names.JOB_TYPE: job.type},
            links=[Link(given)] if given is not None else None,
        )
        context = within(span, get_current())
        if job.trace is None:
            job = self._traced(job, context)
        failure: BaseException | None = None
        started = perf_counter()
        try:
            with attached(context):
                enqueued = await call_next(job)
            span.set_attribute(names.MESSAGE_ID, enqueued.id)
            if job.unique is not None:
                span.set_attribute(names.CREATED, enqueued.created)
        except BaseException as error:
            failure = error
            raise
        else:
            return enqueued
        finally:
            failed = 0 if failure is None else 1
            self._end(span, attributes, perf_counter() - started, 1 - failed, failed, failure)

    async def many(
        self, jobs: AsyncIterator[NewJob], call_next: ProduceManyNext
    ) -> AsyncGenerator[AllEnqueued, None]:
        """Write jobs as they come, each with a span that says where it was created."""
        # The caller's, whatever it does between two chunks.
        around = get_current()
        attributes = self._attributes("send", "send")
        span = self._tracer.start_span(f"send {self._stream}", around, SpanKind.CLIENT, attributes)
        created = written = 0

        async def traced() -> AsyncIterator[NewJob]:
            nonlocal created
            async for job in jobs:
                created += 1
                yield self._created(job, span, around)

        failure: BaseException | None = None
        started = perf_counter()
        try:
            async with aclosing(call_next(traced())) as chunks:
                async for chunk in chunks:
                    written += len(chunk)
                    yield chunk
        except GeneratorExit:
            raise  # the caller has had enough
        except BaseException as error:
            failure = error
            raise
        finally:
            span.set_attribute(names.MESSAGE_COUNT, written)
            failed = 0 if failure is None else created - written
            self._end(span, attributes, perf_counter() - started, written, failed, failure)

    def _created(self, job: NewJob, send: Span, around: Context) -> NewJob:
        """A job with its trace, which the span that sends it links to."""
        given = from_text(job.trace)
        if job.trace is not None:
            if given is not None:
                send.add_link(given)
            return job
        attributes = {**self._attributes("create", "create"), names.JOB_TYPE: job.type}
        span = self._tracer.start_span(
            f"create {self._stream}", around, SpanKind.PRODUCER, attributes
        )
        span.end()
        send.add_link(span.get_span_context())
        return self._traced(job, within(span, around))

    def _traced(self, job: NewJob, context: Context) -> NewJob:
        """The job with its trace; the caller's own may be written once more, with another one."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, context)
        traced = copy(job)
        traced.trace, headers = split(carrier)
        traced.headers = {**(job.headers or {}), **headers} or None
        return traced

    def _attributes(self, operation: str, kind: str) -> dict[str, str | int]:
        return {**self._at, names.OPERATION: operation, names.OPERATION_TYPE: kind}

    def _end(
        self,
        span: Span,
        attributes: Mapping[str, str | int],
        seconds: float,
        written: int,
        failed: int,
        failure: BaseException | None,
    ) -> None:
        kind = None if failure is None else type_name(failure)
        if failure is not None and kind is not None:
            span.set_attribute(names.ERROR_TYPE, kind)
            span.record_exception(failure)
            span.set_status(Status(StatusCode.ERROR, printable(failure, 200)))
        span.end()
        self._measures.sent(attributes, seconds, written, failed, kind)
