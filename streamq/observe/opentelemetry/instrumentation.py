"""The middleware: a span for each produce, and one for each attempt."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from copy import copy
from typing import Any, Protocol, Self

from opentelemetry.metrics import MeterProvider, get_meter
from opentelemetry.propagate import get_global_textmap
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import TracerProvider, get_tracer

from streamq.enqueued import AllEnqueued, Enqueued
from streamq.errors import StreamqError
from streamq.job import Job
from streamq.middleware import (
    BatchNext,
    CallNext,
    Instrumentation,
    ProduceManyNext,
    ProduceNext,
)
from streamq.new_job import NewJob
from streamq.observe.opentelemetry import names
from streamq.observe.opentelemetry.consuming import Consuming
from streamq.observe.opentelemetry.measures import Measures
from streamq.observe.opentelemetry.producing import Producing
from streamq.version import __version__


class _Admin(Protocol):
    async def failed_traces(
        self, stream: str, group: str, job_ids: Sequence[str]
    ) -> Mapping[str, str]: ...


class _App(Protocol):
    @property
    def peer(self) -> tuple[str, int | None] | None: ...
    @property
    def admin(self) -> _Admin: ...


class OpenTelemetry(Instrumentation):
    """Spans and metrics of all that an app produces and handles::

        app = App(middleware=[OpenTelemetry()])

    Args:
        tracer_provider: the global one by default.
        meter_provider: the global one by default.
        propagator: how a trace and baggage travel in an entry; the global one by default.
        new_trace: let each attempt begin a trace of its own, which links to the one in which the
            job was produced. By default it is a part of that one, and links to it.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        propagator: TextMapPropagator | None = None,
        new_trace: bool = False,
    ) -> None:
        self._tracer = get_tracer(
            "streamq", __version__, tracer_provider, schema_url=names.SCHEMA_URL
        )
        self._measures = Measures(
            get_meter("streamq", __version__, meter_provider, schema_url=names.SCHEMA_URL)
        )
        self._given_propagator = propagator
        self._new_trace = new_trace
        self._app: _App | None = None

    def for_app(self, app: Any) -> Self:
        """One like it that knows where the app's server is."""
        own = copy(self)
        own._app = app
        return own

    async def __call__(self, job: Job, call_next: CallNext, /) -> Any:
        """A span around an attempt."""
        return await self._consume([job], lambda: call_next(job), batch=False)

    async def handle_batch(self, jobs: Sequence[Job], call_next: BatchNext) -> Any:
        """A span around a batch, with links to each of its jobs."""
        return await self._consume(jobs, lambda: call_next(jobs), batch=True)

    async def produce(self, stream: str, job: NewJob, call_next: ProduceNext) -> Enqueued:
        """A span around the writing of a job, which is where its trace goes on."""
        return await self._producing(stream).one(job, call_next)

    def produce_many(
        self, stream: str, jobs: AsyncIterator[NewJob], call_next: ProduceManyNext
    ) -> AsyncGenerator[AllEnqueued, None]:
        """A span around the writing of all, and one for each, where its trace goes on."""
        return self._producing(stream).many(jobs, call_next)

    async def _consume(
        self, jobs: Sequence[Job], call: Callable[[], Awaitable[Any]], *, batch: bool
    ) -> Any:
        consuming = Consuming(
            self._tracer, self._measures, self._propagator, self._at(jobs[0].stream),
            new_trace=self._new_trace,
        )  # fmt: skip
        return await consuming.attempt(jobs, await self._failed(jobs), call, batch=batch)

    def _producing(self, stream: str) -> Producing:
        return Producing(self._tracer, self._measures, self._propagator, self._at(stream))

    @property
    def _propagator(self) -> TextMapPropagator:
        # A program may set the global one after it has made its app.
        return self._given_propagator or get_global_textmap()

    def _at(self, stream: str) -> dict[str, str | int]:
        """The attributes that everything at a stream has."""
        found: dict[str, str | int] = {names.SYSTEM: "streamq", names.DESTINATION: stream}
        peer = None if self._app is None else self._app.peer
        if peer is not None:
            found[names.SERVER_ADDRESS] = peer[0]
            if peer[1] is not None:
                found[names.SERVER_PORT] = peer[1]
        return found

    async def _failed(self, jobs: Sequence[Job]) -> Mapping[str, str]:
        """By job ID, the first attempt that failed, as a ``traceparent``."""
        again = [job.id for job in jobs if job.attempt > 1]
        if not again or self._app is None or self._app.peer is None:
            return {}
        try:
            return await self._app.admin.failed_traces(jobs[0].stream, jobs[0].group, again)
        except StreamqError:
            return {}  # the worker tells what is wrong with the server
