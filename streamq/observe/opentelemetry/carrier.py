"""How a trace travels: in the fields of an entry.

The field ``trace`` is the W3C ``traceparent``. Whatever else the propagators give is a field of the
same name: ``tracestate``, ``baggage``, or ``b3`` of other propagators. Only what is given is
written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context, attach, detach
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.trace import Span, SpanContext, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from streamq.job import Emitted, Job
from streamq.wire.entry import OURS

TRACEPARENT = "traceparent"

_W3C = TraceContextTextMapPropagator()
_TO_PROCESS = CompositePropagator([_W3C, W3CBaggagePropagator()])


def carrier_of(job: Job) -> Mapping[str, str]:
    """What the job's producer has sent along, as propagators know it.

    An entry of another program may name the field ``traceparent``, too. If it has no field
    ``data``, what looks like a trace is in the job's data.
    """
    fields: Mapping[str, object] = job.fields
    if job.is_foreign and isinstance(job.data, Mapping):
        fields = job.data
    found = {name: value for name, value in fields.items() if isinstance(value, str)}
    if "trace" in found:
        found.setdefault(TRACEPARENT, found["trace"])
    return found


def split(carrier: Mapping[str, str]) -> tuple[str | None, dict[str, str]]:
    """What propagators give, as the field ``trace`` and the others."""
    others = dict(carrier)
    return others.pop(TRACEPARENT, None), others


def put_into(event: Emitted, inherited: str | None, carrier: Mapping[str, str]) -> None:
    """Let an emitted event go on with a trace, in place of the one that its job has.

    Args:
        inherited: the field ``trace`` of the job, which it has from there.
    """
    fields = event.fields
    names = fields[::2]
    trace, others = split(carrier)
    if inherited is not None and trace is not None:
        fields[2 * names.index("trace") + 1] = trace
    elif trace is not None:
        fields += ("trace", trace)
    for name, value in others.items():
        if name not in OURS and name not in names:
            fields += (name, value)


def trace_of(event: Emitted) -> str | None:
    """The field ``trace`` of an emitted event."""
    given = dict(zip(event.fields[::2], event.fields[1::2], strict=True)).get("trace")
    return given if isinstance(given, str) else None


class ToProcess:
    """A context on its way to a handler in a process, where it is made the current one."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def __reduce__(self) -> tuple[object, ...]:
        carrier: dict[str, str] = {}
        _TO_PROCESS.inject(carrier, self._context)
        return partial, (_extracted, carrier)

    def __call__(self) -> AbstractContextManager[None]:
        """The same in this process."""
        return attached(self._context)


@contextmanager
def attached(context: Context) -> Iterator[None]:
    """Have a context as the current one."""
    token = attach(context)
    try:
        yield
    finally:
        detach(token)


def _extracted(carrier: Mapping[str, str]) -> AbstractContextManager[None]:
    return attached(_TO_PROCESS.extract(carrier, Context()))


def within(span: Span, around: Context) -> Context:
    """A context with a span as the current one; as it was where the span is none.

    Without an SDK there are no spans, and traces of others are to pass all the same.
    """
    return set_span_in_context(span, around) if span.get_span_context().is_valid else around


def as_text(span: SpanContext) -> str:
    """A span as a W3C ``traceparent``."""
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"


def from_text(traceparent: str | None) -> SpanContext | None:
    """The span of a W3C ``traceparent``; ``None`` where it is none."""
    if traceparent is None:
        return None
    context = _W3C.extract({TRACEPARENT: traceparent}, Context())
    span = get_current_span(context).get_span_context()
    return span if span.is_valid else None
