"""Traces: from the produce to each attempt, and on to what a handler emits."""

import asyncio

from opentelemetry import baggage, context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamq import App, Backoff, Job
from streamq.observe.opentelemetry import OpenTelemetry

# A program of yours exports to a collector: BatchSpanProcessor(OTLPSpanExporter()).
exported = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exported))

app = App(stream="orders", middleware=[OpenTelemetry(tracer_provider=provider)])


@app.handler("paid", retries=1, backoff=Backoff(base=0, cap=0))
async def ship(job: Job) -> None:
    """The first attempt fails; the second one links to it."""
    if job.attempt == 1:
        raise ConnectionError("no answer")
    job.emit("shipped")


@app.handler("shipped")
def tell() -> None:
    """Baggage has come all the way, and into a thread."""
    print("shipped for", baggage.get_baggage("customer"))


async def main() -> None:
    """A request that produces a job, and a worker."""
    async with app:
        with provider.get_tracer("shop").start_as_current_span("POST /orders"):
            token = context.attach(baggage.set_baggage("customer", "acme"))
            await app.produce("paid", {"order": 7})
            context.detach(token)
        await app.worker(burst=True).run()
    show(None, "")


def show(parent: int | None, indent: str) -> None:
    """The spans of the trace, each under its parent."""
    spans = exported.get_finished_spans()
    for span in sorted(spans, key=started):
        if (span.parent.span_id if span.parent else None) == parent and span.context:
            attributes = span.attributes or {}
            outcome = attributes.get("messaging.streamq.outcome", "")
            print(f"{indent}{span.name} {outcome} {'→' * len(span.links)}".rstrip())
            show(span.context.span_id, indent + "  ")


def started(span: ReadableSpan) -> int:
    """When it began."""
    return span.start_time or 0


if __name__ == "__main__":
    asyncio.run(main())

# shipped for acme
# POST /orders
#   send orders
#     process orders retry →
#     process orders succeeded →→
#       emit orders
#         process orders succeeded →
