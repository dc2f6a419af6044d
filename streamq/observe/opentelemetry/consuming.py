"""The span of one attempt, or of one batch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import (
    Link,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    get_current_span,
)

from streamq.job import Job
from streamq.middleware import also_in_process
from streamq.observe.opentelemetry import names
from streamq.observe.opentelemetry.carrier import (
    ToProcess,
    as_text,
    attached,
    carrier_of,
    from_text,
    put_into,
    trace_of,
    within,
)
from streamq.observe.opentelemetry.measures import Measures
from streamq.observe.opentelemetry.outcome import SUCCEEDED, Outcome, outcome_of
from streamq.text import printable


class Consuming:
    """Makes the spans of attempts at a stream.

    Args:
        at: the attributes that everything at the stream has.
        new_trace: whether each attempt begins a trace.
    """

    def __init__(
        self,
        tracer: Tracer,
        measures: Measures,
        propagator: TextMapPropagator,
        at: Mapping[str, str | int],
        *,
        new_trace: bool,
    ) -> None:
        self._tracer = tracer
        self._measures = measures
        self._propagator = propagator
        self._at = at
        self._new_trace = new_trace

    async def attempt(
        self,
        jobs: Sequence[Job],
        failed: Mapping[str, str],
        call: Callable[[], Awaitable[Any]],
        *,
        batch: bool,
    ) -> Any:
        """Handle a job, or a batch of them, with a span around it.

        Args:
            failed: by job ID, the first attempt that failed, as a ``traceparent``.
        """
        first = jobs[0]
        produced = [self._propagator.extract(carrier_of(job), Context()) for job in jobs]
        links = _links(jobs, produced, failed, batch=batch)
        attributes = {**self._at, names.OPERATION: "process", names.GROUP: first.group}
        base = Context() if batch else produced[0]
        span = self._tracer.start_span(
            f"process {first.stream}",
            context=Context() if batch or self._new_trace else base,
            kind=SpanKind.CONSUMER,
            attributes={
                **attributes, names.OPERATION_TYPE: "process", names.CLIENT_ID: first.consumer,
                names.JOB_TYPE: first.type, **_of(jobs, batch=batch),
            },
            links=links,
        )  # fmt: skip
        if span.is_recording():
            for job in jobs:
                if job.id not in failed:
                    job.failed_trace = as_text(span.get_span_context())
        context = within(span, base)
        self._measures.consumed(attributes, len(jobs))
        outcome, started = SUCCEEDED, perf_counter()
        try:
            with attached(context), also_in_process(ToProcess(context)):
                result = await call()
            for job in jobs:
                self._pass_on(job, context)
        except BaseException as error:
            outcome = outcome_of(first, error)
            raise
        else:
            return result
        finally:
            _tell(span, outcome)
            span.end()
            self._measures.processed(
                attributes, perf_counter() - started, outcome.name, outcome.error_type
            )

    def _pass_on(self, job: Job, context: Context) -> None:
        """Let the events that are written with the ack go on with the trace.

        One that was given a trace of its own keeps it.
        """
        for event in job.emitted or ():
            if trace_of(event) != job.trace:
                continue
            attributes = {
                **self._at, names.DESTINATION: event.stream,
                names.OPERATION: "emit", names.OPERATION_TYPE: "create",
            }  # fmt: skip
            span = self._tracer.start_span(
                f"emit {event.stream}", context, SpanKind.PRODUCER, attributes
            )
            span.end()
            carrier: dict[str, str] = {}
            self._propagator.inject(carrier, within(span, context))
            put_into(event, job.trace, carrier)


def _of(jobs: Sequence[Job], *, batch: bool) -> dict[str, str | int]:
    if batch:
        return {names.MESSAGE_COUNT: len(jobs)}
    return {names.MESSAGE_ID: jobs[0].id, names.ATTEMPT: jobs[0].attempt}


def _links(
    jobs: Sequence[Job], produced: Sequence[Context], failed: Mapping[str, str], *, batch: bool
) -> list[Link]:
    """To where each job was produced, to its first attempt that failed, and to a span around."""
    links: list[Link] = []
    for job, context in zip(jobs, produced, strict=True):
        own = _of([job], batch=False) if batch else {}
        creation = get_current_span(context).get_span_context()
        earlier = from_text(failed.get(job.id))
        if creation.is_valid:
            links.append(Link(creation, own))
        if earlier is not None:
            links.append(Link(earlier, {**own, names.LINK: "first failed attempt"}))
    around = get_current_span().get_span_context()
    if around.is_valid:
        links.append(Link(around))
    return links


def _tell(span: Span, outcome: Outcome) -> None:
    span.set_attribute(names.OUTCOME, outcome.name)
    error, kind = outcome.error, outcome.error_type
    if error is None or kind is None:
        return
    span.set_attribute(names.ERROR_TYPE, kind)
    span.record_exception(error)
    span.set_status(Status(StatusCode.ERROR, printable(error, 200)))
