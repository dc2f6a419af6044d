"""An SDK of one's own for each test, which keeps what it is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry import baggage
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, get_current_span

from streamq.observe.opentelemetry import OpenTelemetry


class Telemetry:
    """What was exported."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.traces = TracerProvider()
        self.traces.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider([self._reader])
        self.tracer = self.traces.get_tracer("test")

    def middleware(self, **options: Any) -> OpenTelemetry:
        return OpenTelemetry(tracer_provider=self.traces, meter_provider=self.meters, **options)

    def spans(self, name: str = "") -> list[ReadableSpan]:
        """Those whose names begin so, in the order in which they ended."""
        return [one for one in self._exporter.get_finished_spans() if one.name.startswith(name)]

    def span(self, name: str) -> ReadableSpan:
        [found] = self.spans(name)
        return found

    def clear(self) -> None:
        self._exporter.clear()

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """Attributes and value of each point of a metric; of a histogram the count."""
        data = self._reader.get_metrics_data()
        return [
            (dict(point.attributes or {}), getattr(point, "value", getattr(point, "count", None)))
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


def attributes_of(span: ReadableSpan) -> Mapping[str, Any]:
    return span.attributes or {}


def id_of(span: ReadableSpan | SpanContext | None) -> tuple[int, int]:
    """The trace and the span."""
    assert span is not None
    context = span if isinstance(span, SpanContext) else span.context
    assert context is not None
    return context.trace_id, context.span_id


def linked(span: ReadableSpan) -> list[tuple[int, int]]:
    return [id_of(link.context) for link in span.links]


def whereabouts() -> dict[str, Any]:
    """The current trace and span, and the baggage: what a handler returns that runs elsewhere."""
    here = get_current_span().get_span_context()
    return {"at": [f"{here.trace_id:x}", f"{here.span_id:x}"], "baggage": dict(baggage.get_all())}
