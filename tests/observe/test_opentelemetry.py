"""Traces of jobs: from the produce to the attempts, and on to what these produce."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import anyio
import orjson
import pytest
import redis
from opentelemetry import baggage, context
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import NoOpTracerProvider, SpanKind, StatusCode, TraceState
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from streamq import AlreadyEnqueued, App, Dead, Group, Job, NewJob, Retry, Settings
from streamq.errors import ConfigError, PayloadError
from streamq.middleware import CallNext, Instrumentation
from streamq.observe.opentelemetry import OpenTelemetry
from streamq.testing import Inline
from tests.lua.support import raw_entries
from tests.observe.telemetry import Telemetry, attributes_of, id_of, linked, whereabouts
from tests.servers import RedisServer
from tests.waiting import eventually
from tests.worker.support import AT_ONCE, Outcome, drain, running

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("brisk")]

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PARENT_ID = (0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331)


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@pytest.fixture
async def app(server: RedisServer, telemetry: Telemetry) -> AsyncIterator[App]:
    """An app that traces."""
    async with App(server.unix_url, middleware=[telemetry.middleware()]) as app:
        yield app


def handler(app: App | Group, type: str = "t", **options: Any) -> None:
    @app.handler(type, **options)
    async def handle(job: Job) -> None: ...


def fields_of(client: redis.Redis) -> dict[str, str]:
    """Those of the only entry."""
    [(_, fields)] = raw_entries(client, "jobs")
    return dict(fields)


# -- from the produce to the attempt ------------------------------------------


async def test_an_attempt_is_a_child_of_its_produce_and_links_to_it(
    app: App, telemetry: Telemetry, server: RedisServer
) -> None:
    handler(app.group("g"))
    with telemetry.tracer.start_as_current_span("request") as request:
        job = await app.produce("t", {"n": 1})
    [verdict] = (await drain(app)).verdicts

    send, process = telemetry.span("send jobs"), telemetry.span("process jobs")
    assert (send.kind, process.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert id_of(send.parent) == id_of(request.get_span_context())
    assert id_of(process.parent) == id_of(send)
    assert linked(process) == [id_of(send)]
    common = {
        "messaging.system": "streamq",
        "messaging.destination.name": "jobs",
        "messaging.message.id": job.id,
        "messaging.streamq.type": "t",
        "server.address": str(server.socket),
    }
    assert attributes_of(send) == {
        **common, "messaging.operation.name": "send", "messaging.operation.type": "send",
    }  # fmt: skip
    assert attributes_of(process) == {
        **common,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.consumer.group.name": "g",
        "messaging.client.id": verdict.job.consumer,
        "messaging.streamq.attempt": 1,
        "messaging.streamq.outcome": "succeeded",
    }
    assert {send.status.status_code, process.status.status_code} == {StatusCode.UNSET}
    scope = process.instrumentation_scope
    assert scope is not None
    assert (scope.name, scope.schema_url) == ("streamq", "https://opentelemetry.io/schemas/1.44.0")


async def test_over_tcp_the_address_has_a_port(server: RedisServer, telemetry: Telemetry) -> None:
    async with App(server.url, middleware=[telemetry.middleware()]) as app:
        await app.produce("t")
    attributes = attributes_of(telemetry.span("send"))
    assert attributes["server.address"] in server.url
    assert f":{attributes['server.port']}" in server.url


async def test_each_group_has_an_attempt_of_its_own(app: App, telemetry: Telemetry) -> None:
    handler(app.group("a"))
    handler(app.group("b"))
    await app.produce("t")
    await drain(app)
    groups = {attributes_of(one)["messaging.consumer.group.name"] for one in telemetry.spans("pro")}
    assert groups == {"a", "b"}
    assert {id_of(one.parent) for one in telemetry.spans("process")} == {
        id_of(telemetry.span("send"))
    }


async def test_an_attempt_may_begin_a_trace_of_its_own(
    server: RedisServer, telemetry: Telemetry
) -> None:
    seen: list[object] = []
    async with App(server.unix_url, middleware=[telemetry.middleware(new_trace=True)]) as app:

        @app.handler("t")
        async def handle() -> None:
            seen.append(baggage.get_baggage("tenant"))

        token = context.attach(baggage.set_baggage("tenant", "acme"))
        await app.produce("t")
        context.detach(token)
        await drain(app)
    process = telemetry.span("process")
    assert process.parent is None
    assert linked(process) == [id_of(telemetry.span("send"))]
    assert seen == ["acme"]


async def test_a_span_around_the_worker_is_linked_to(app: App, telemetry: Telemetry) -> None:
    handler(app)
    await app.produce("t")
    with telemetry.tracer.start_as_current_span("main") as main:
        await drain(app)
    send, process = telemetry.span("send"), telemetry.span("process")
    assert id_of(process.parent) == id_of(send)
    assert linked(process) == [id_of(send), id_of(main.get_span_context())]


# -- what travels -------------------------------------------------------------


async def test_baggage_and_tracestate_travel_as_fields(
    app: App, telemetry: Telemetry, client: redis.Redis
) -> None:
    seen: list[object] = []

    @app.handler("t")
    async def handle(job: Job) -> None:
        seen.append(dict(baggage.get_all()))
        seen.append(dict(job.fields))

    carrier = {"traceparent": PARENT, "tracestate": "vendor=1"}
    around = TraceContextTextMapPropagator().extract(carrier, context.Context())
    token = context.attach(baggage.set_baggage("tenant", "acme & co", around))
    await app.produce("t", {"n": 1})
    context.detach(token)

    fields = fields_of(client)
    assert list(fields) == ["type", "data", "trace", "tracestate", "baggage"]
    assert fields["trace"].startswith("00-0af7651916cd43dd8448eb211c80319c-")
    assert fields["tracestate"] == "vendor=1"
    await drain(app)
    assert seen[0] == {"tenant": "acme & co"}
    process = telemetry.span("process")
    assert process.context is not None
    assert process.context.trace_state == TraceState([("vendor", "1")])


async def test_without_baggage_there_is_only_the_trace(app: App, client: redis.Redis) -> None:
    await app.produce("t", {"n": 1})
    assert list(fields_of(client)) == ["type", "data", "trace"]


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "t", "data": "{}", "trace": PARENT},
        {"type": "t", "data": "{}", "traceparent": PARENT},
        {"type": "t", "file": "a.png", "trace": PARENT},
        {"type": "t", "file": "a.png", "traceparent": PARENT},
    ],
    ids=" ".join,
)
async def test_a_foreign_producer_gives_a_traceparent(
    app: App, telemetry: Telemetry, client: redis.Redis, fields: dict[Any, Any]
) -> None:
    handler(app)
    client.xadd("jobs", {**fields, "baggage": "tenant=acme"})
    await drain(app)
    assert id_of(telemetry.span("process").parent) == PARENT_ID


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "t", "data": "{}"},
        {"type": "t", "data": "{}", "trace": "of an elephant"},
        {"type": "t", "data": "null", "baggage": "=;,\x00\xff"},
        {"type": "t", "trace": "of an elephant"},
        {"type": "t"},
    ],
    ids=" ".join,
)
async def test_without_a_trace_an_attempt_begins_one(
    app: App, telemetry: Telemetry, client: redis.Redis, fields: dict[Any, Any]
) -> None:
    handler(app)
    client.xadd("jobs", {**fields})
    assert (await drain(app)).outcomes == [Outcome.SUCCEEDED]
    process = telemetry.span("process")
    assert (process.parent, linked(process)) == (None, [])


async def test_another_propagator_has_fields_of_its_own(
    server: RedisServer, telemetry: Telemetry, client: redis.Redis
) -> None:
    class Single(TraceContextTextMapPropagator):
        """As B3 does: one header with a name of its own; and one that is not for it to set."""

        def inject(self, carrier: Any, *args: Any, **options: Any) -> None:
            inner: dict[str, str] = {}
            super().inject(inner, *args, **options)
            carrier |= {"b3": inner["traceparent"], "data": "stolen"}

        def extract(self, carrier: Any, *args: Any, **options: Any) -> Any:
            return super().extract({"traceparent": carrier["b3"]}, *args, **options)

    async with App(server.unix_url, middleware=[telemetry.middleware(propagator=Single())]) as app:
        handler(app)
        await app.produce("t", {"n": 1})
        fields = fields_of(client)
        await drain(app)
    assert list(fields) == ["type", "data", "b3"]
    assert fields["data"] == '{"n":1}'
    assert id_of(telemetry.span("process").parent) == id_of(telemetry.span("send"))


async def test_a_trace_that_was_given_is_left_alone_and_linked_to(
    app: App, telemetry: Telemetry, client: redis.Redis
) -> None:
    handler(app)
    await app.produce("t", trace=PARENT)
    await app.produce_many([("t", {})], trace=PARENT)
    assert {dict(fields)["trace"] for _, fields in raw_entries(client, "jobs")} == {PARENT}
    await drain(app)
    sends = telemetry.spans("send")
    assert [(one.kind, linked(one)) for one in sends] == [(SpanKind.CLIENT, [PARENT_ID])] * 2
    assert [id_of(one.parent) for one in telemetry.spans("process")] == [PARENT_ID] * 2
    assert telemetry.spans("create") == []


# -- kinds of handlers --------------------------------------------------------


@pytest.mark.parametrize("kind", ["async", "thread", "process"])
@pytest.mark.parametrize("batch", [0, 10])
async def test_the_handler_runs_in_its_span_with_the_baggage(
    app: App, telemetry: Telemetry, client: redis.Redis, kind: str, batch: int
) -> None:
    async def in_loop(**_: Any) -> dict[str, Any]:
        return whereabouts()

    function: Any = in_loop if kind == "async" else in_batch if batch else elsewhere
    if batch and kind == "async":

        async def function(jobs: list[Job]) -> dict[str, Any]:
            return whereabouts()

    app.handler("t", process=kind == "process", batch=batch)(function)
    token = context.attach(baggage.set_baggage("tenant", "acme"))
    job = await app.produce("t")
    context.detach(token)
    watch = await drain(app, settings=Settings(processes=1, result_ttl=60))

    assert watch.outcomes == [Outcome.SUCCEEDED]
    result = client.hget(f"{{jobs}}:group:default:job:{job.id}", "result")
    assert isinstance(result, str)
    trace_id, span_id = id_of(telemetry.span("process"))
    assert orjson.loads(result) == {
        "at": [f"{trace_id:x}", f"{span_id:x}"],
        "baggage": {} if batch else {"tenant": "acme"},
    }


def elsewhere() -> dict[str, Any]:
    return whereabouts()


def in_batch(jobs: list[Job]) -> dict[str, Any]:
    return whereabouts()


async def test_nothing_is_left_in_the_context_for_the_next_job(
    app: App, telemetry: Telemetry
) -> None:
    """Nor does a runner end because a context was changed."""
    tasks = set()

    @app.handler("t", retries=0)
    async def handle(fail: bool) -> None:
        tasks.add(asyncio.current_task())
        if fail:
            raise ValueError

    @app.group("plain").handler("t")
    async def plain() -> None: ...

    for n in range(4):
        await app.produce("t", {"fail": n % 2 == 0})
    await drain(app, groups=["default"], settings=Settings(concurrency=1))
    assert len(tasks) == 1


async def test_a_batch_is_one_span_that_links_to_each_job(app: App, telemetry: Telemetry) -> None:
    sizes: list[int] = []

    @app.group("g").handler("t", batch=10)
    async def handle(jobs: list[Job]) -> None:
        sizes.append(len(jobs))
        for job in jobs:
            job.emit("next")

    jobs = [await app.produce("t", {"n": n}, key="k") for n in range(3)]
    await app.produce("t", expires=0)
    await drain(app, settings=Settings(concurrency=1))

    assert sizes == [3]  # although each of them has a trace, and an order key
    process = telemetry.span("process")
    assert process.parent is None
    assert attributes_of(process)["messaging.batch.message_count"] == 3
    assert "messaging.message.id" not in attributes_of(process)
    sends = {attributes_of(one)["messaging.message.id"]: id_of(one) for one in telemetry.spans("s")}
    assert [(id_of(link.context), dict(link.attributes or {})) for link in process.links] == [
        (sends[job.id], {"messaging.message.id": job.id, "messaging.streamq.attempt": 1})
        for job in jobs
    ]
    assert {id_of(one.parent) for one in telemetry.spans("emit")} == {id_of(process)}


async def test_other_middleware_still_has_no_batches(server: RedisServer) -> None:
    async def around(job: Job, call_next: CallNext) -> Any:
        return await call_next(job)

    app = App(server.unix_url, middleware=[OpenTelemetry(), around])
    app.handler("t", batch=10)(in_batch)
    with pytest.raises(ConfigError, match="middleware wraps one job"):
        app.subscriptions()


# -- what becomes of an attempt -----------------------------------------------


async def test_retries_link_to_the_first_attempt(
    app: App, telemetry: Telemetry, client: redis.Redis
) -> None:
    @app.group("g").handler("t", retries=3, backoff=AT_ONCE)
    async def handle(job: Job) -> None:
        if job.attempt < 4:
            raise ValueError("not yet")

    job = await app.produce("t")
    await drain(app, settings=Settings(result_ttl=60))

    send, attempts = telemetry.span("send"), telemetry.spans("process")
    assert [attributes_of(one)["messaging.streamq.attempt"] for one in attempts] == [1, 2, 3, 4]
    assert [linked(one) for one in attempts] == [
        [id_of(send)], *([[id_of(send), id_of(attempts[0])]] * 3)
    ]  # fmt: skip
    assert dict(attempts[3].links[1].attributes or {}) == {
        "messaging.streamq.link": "first failed attempt"
    }
    assert {id_of(one.parent) for one in attempts} == {id_of(send)}
    # What is kept of a job that has succeeded has no more to do with it.
    assert client.hget(f"{{jobs}}:group:g:job:{job.id}", "trace") is None


@pytest.mark.parametrize("options", [{}, {"batch": 4}], ids=["one", "batch"])
async def test_another_worker_links_to_the_first_attempt_too(
    server: RedisServer, telemetry: Telemetry, options: Mapping[str, Any]
) -> None:
    def make() -> App:
        app = App(server.unix_url, middleware=[telemetry.middleware(new_trace=True)])

        @app.handler("t", retries=3, backoff=AT_ONCE, **options)
        async def handle(jobs: Any = ()) -> None:
            raise ValueError("not yet")

        return app

    for number in range(3):
        async with make() as app:
            if number == 0:
                await app.produce("t")
            watch = await drain(app, max_jobs=1, burst=False)
            assert watch.outcomes == [Outcome.RETRY]
    first, *others = telemetry.spans("process")
    send = telemetry.span("send")
    assert [linked(one) for one in others] == [[id_of(send), id_of(first)]] * 2
    assert len({id_of(one)[0] for one in (send, first, *others)}) == 4


async def test_without_tracing_the_record_has_nothing_of_it(
    server: RedisServer, client: redis.Redis
) -> None:
    async with App(server.unix_url) as app:

        @app.handler("t")
        async def handle() -> None:
            raise Retry(delay=60)

        job = await app.produce("t")
        await drain(app, max_jobs=1, burst=False)
    record = client.hgetall(f"{{jobs}}:group:default:job:{job.id}")
    assert sorted(record) == ["attempt:1", "deliveries", "error", "failed_at"]


@pytest.mark.parametrize(
    ("raised", "retries", "outcome", "error_type", "status"),
    [
        (ValueError("bad"), 1, "retry", "ValueError", "bad"),
        (ValueError("bad"), 0, "dead", "ValueError", "bad"),
        (PayloadError("big"), 0, "dead", "streamq.errors.PayloadError", "big"),
        (Retry("not yet", delay=60), 1, "retry", None, None),
        (Retry("not yet", delay=60), 0, "dead", "streamq.retry.Retry", "not yet"),
        (Dead("never"), 1, "dead", "streamq.retry.Dead", "never"),
        (SystemExit(3), 0, "dead", "SystemExit", "3"),
        (asyncio.CancelledError(), 0, "dead", "asyncio.exceptions.CancelledError", ""),
    ],
    ids=lambda value: repr(value),
)
async def test_the_outcome_of_an_attempt(
    app: App, telemetry: Telemetry, raised: BaseException, retries: int, outcome: str,
    error_type: str | None, status: str | None,
) -> None:  # fmt: skip
    @app.handler("t", retries=retries)
    async def handle() -> None:
        raise raised

    await app.produce("t")
    [verdict] = (await drain(app, max_jobs=1, burst=False)).verdicts
    process = telemetry.span("process")
    assert attributes_of(process)["messaging.streamq.outcome"] == outcome == verdict.outcome.value
    assert attributes_of(process).get("error.type") == error_type
    failed = error_type is not None
    assert process.status.status_code is (StatusCode.ERROR if failed else StatusCode.UNSET)
    assert (process.status.description or "") == (status or "")
    assert [event.name for event in process.events] == ["exception"] * failed


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_a_timeout_is_told_as_such(app: App, telemetry: Telemetry, kind: str) -> None:
    async def forever() -> None:
        await anyio.sleep_forever()

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def in_thread() -> None:
        asyncio.run_coroutine_threadsafe(ended.wait(), loop).result()

    function: Any = forever if kind == "async" else in_thread
    app.handler("t", timeout=0.02, retries=1, backoff=AT_ONCE)(function)
    await app.produce("t")
    await drain(app)
    ended.set()
    found = [attributes_of(one) for one in telemetry.spans("process")]
    assert [one["messaging.streamq.outcome"] for one in found] == ["retry", "dead"]
    assert {one["error.type"] for one in found} == {"streamq.errors.JobTimeout"}
    assert linked(telemetry.spans("process")[1])[1] == id_of(telemetry.spans("process")[0])


@pytest.mark.parametrize("why", ["cancelled", "released", "lost"])
async def test_a_handler_that_is_cancelled_is_no_error(
    app: App, telemetry: Telemetry, why: str, client: redis.Redis
) -> None:
    begun = asyncio.Event()

    @app.handler("t")
    async def handle() -> None:
        begun.set()
        await anyio.sleep_forever()

    job = await app.produce("t")
    settings = Settings(lease=0.6, grace=0 if why == "released" else 5)
    async with running(app, settings=settings) as worker:
        await begun.wait()
        if why == "cancelled":
            await job.cancel()
        elif why == "lost":
            client.xclaim("jobs", "default", "thief", 0, [job.id], justid=True)
        else:
            worker.stop()
        await eventually(lambda: telemetry.spans("process"))
    process = telemetry.span("process")
    assert attributes_of(process)["messaging.streamq.outcome"] == why
    assert process.status.status_code is StatusCode.UNSET
    assert process.events == ()


# -- what a handler produces --------------------------------------------------


async def test_what_a_handler_emits_and_produces_goes_on_with_the_trace(
    app: App, telemetry: Telemetry
) -> None:
    seen: dict[str, object] = {}

    @app.handler("t")
    async def handle(job: Job) -> None:
        job.emit("emitted", {"n": 1}, key="k")
        job.emit("elsewhere", trace=PARENT)
        with telemetry.tracer.start_as_current_span("step"):
            await app.produce("produced")

    @app.handler("*")
    async def after(job: Job) -> None:
        seen[job.type] = baggage.get_baggage("tenant")

    token = context.attach(baggage.set_baggage("tenant", "acme"))
    await app.produce("t")
    context.detach(token)
    await drain(app)

    by_type = {attributes_of(one)["messaging.streamq.type"]: one for one in telemetry.spans("proc")}
    emit = telemetry.span("emit jobs")
    assert (emit.kind, id_of(emit.parent)) == (SpanKind.PRODUCER, id_of(by_type["t"]))
    assert id_of(by_type["emitted"].parent) == id_of(emit)
    assert id_of(by_type["elsewhere"].parent) == PARENT_ID
    produced = parent_of(by_type["produced"], telemetry)
    assert produced.name == "send jobs"
    step = parent_of(produced, telemetry)
    assert (step.name, id_of(step.parent)) == ("step", id_of(by_type["t"]))
    assert seen == {"emitted": "acme", "produced": "acme", "elsewhere": None}


def parent_of(span: ReadableSpan, telemetry: Telemetry) -> ReadableSpan:
    [found] = [one for one in telemetry.spans() if id_of(one) == id_of(span.parent)]
    return found


async def test_what_is_emitted_without_a_trace_of_the_job_has_one(
    app: App, telemetry: Telemetry, client: redis.Redis
) -> None:
    """Also from a process; and what a failed attempt emits leaves nothing behind."""
    app.handler("t", process=True)(emits)
    handler(app, "next")

    @app.handler("fails", retries=0)
    async def fails(job: Job) -> None:
        job.emit("next")
        raise ValueError

    client.xadd("jobs", {"type": "t"})
    client.xadd("jobs", {"type": "fails"})
    await drain(app, settings=Settings(processes=1))
    emit = telemetry.span("emit")
    [last] = [one for one in telemetry.spans("process") if one.parent is not None]
    assert id_of(last.parent) == id_of(emit)


def emits(job: Job) -> None:
    job.emit("next", {"n": 1})


async def test_the_sync_app_knows_its_server(server: RedisServer, telemetry: Telemetry) -> None:
    app = App(server.unix_url, middleware=[telemetry.middleware()])
    await asyncio.to_thread(app.sync.produce, "t")
    await asyncio.to_thread(app.sync.close)
    assert attributes_of(telemetry.span("send"))["server.address"] == str(server.socket)


async def test_a_thread_of_the_sync_app_goes_on_with_the_trace(
    app: App, telemetry: Telemetry
) -> None:
    @app.handler("t")
    def handle() -> None:
        app.sync.produce("next")

    handler(app, "next")
    await app.produce("t")
    await drain(app)
    await asyncio.to_thread(app.sync.close)
    first, second = telemetry.spans("process")
    assert second.context is not None
    assert first.context is not None
    assert second.context.trace_id == first.context.trace_id


# -- ways of producing --------------------------------------------------------


async def test_many_are_pipelined_and_each_has_a_span(app: App, telemetry: Telemetry) -> None:
    handler(app)
    own = NewJob("t", {"n": 0}, key="k")
    jobs = await app.produce_many([own, ("t", {"n": 1}), ("t", {"n": 2})])
    assert (own.trace, own.headers) == (None, None)  # it may be produced once more
    await drain(app)

    send, creates = telemetry.span("send"), telemetry.spans("create")
    assert (send.kind, {one.kind for one in creates}) == (SpanKind.CLIENT, {SpanKind.PRODUCER})
    assert attributes_of(send)["messaging.batch.message_count"] == len(jobs) == 3
    assert linked(send) == [id_of(one) for one in creates]
    parents = [id_of(one.parent) for one in telemetry.spans("process")]
    assert sorted(parents) == sorted(map(id_of, creates))


async def test_many_may_stop_in_the_middle(app: App, telemetry: Telemetry) -> None:
    def jobs() -> Any:
        yield "t", {}
        yield "t", {"n": object()}

    with pytest.raises(PayloadError):
        await app.produce_many(jobs())
    send = telemetry.span("send")
    assert attributes_of(send)["messaging.batch.message_count"] == 1
    assert attributes_of(send)["error.type"] == "streamq.errors.PayloadError"
    assert send.status.status_code is StatusCode.ERROR
    assert [value for _, value in telemetry.points("messaging.client.sent.messages")] == [1, 1]


async def test_with_middleware_for_one_job_each_is_sent_alone(
    server: RedisServer, telemetry: Telemetry
) -> None:
    async def stamped(job: NewJob, call_next: Any) -> Any:
        job.data = {**job.data, "by": "me"}
        return await call_next(job)

    around = telemetry.middleware()
    async with App(server.unix_url, middleware=[around], produce_middleware=[stamped]) as app:
        await app.produce_many([("t", {}), ("t", {})])
    assert [one.name for one in telemetry.spans()] == ["send jobs"] * 2


async def test_only_the_producing_or_only_one_group(
    server: RedisServer, telemetry: Telemetry
) -> None:
    async with App(server.unix_url, produce_middleware=[telemetry.middleware()]) as app:
        handler(app)
        await app.produce("t")
        await drain(app)
        assert [one.name for one in telemetry.spans()] == ["send jobs"]
    telemetry.clear()
    async with App(server.unix_url) as app:
        handler(app.group("a", middleware=[telemetry.middleware()]))
        handler(app.group("b"))
        await app.produce("t")
        await drain(app)
        assert [one.name for one in telemetry.spans()] == ["process jobs"]


async def test_jobs_for_later_and_unique_ones_keep_their_trace(
    app: App, telemetry: Telemetry
) -> None:
    handler(app)
    later = await app.produce("t", delay=0.01)
    first = await app.produce("t", unique="u")
    known = await app.produce("t", unique="u")
    with pytest.raises(AlreadyEnqueued):
        await app.produce("t", unique="u", on_conflict="error")
    async with running(app):
        await eventually(lambda: len(telemetry.spans("process")) == 2)

    schedule, (send, again, refused) = telemetry.span("schedule jobs"), telemetry.spans("send")
    assert attributes_of(schedule)["messaging.message.id"] == later.id
    assert attributes_of(schedule)["messaging.operation.type"] == "send"
    created = [attributes_of(one).get("messaging.streamq.created") for one in (send, again)]
    assert (created, known.id) == ([True, False], first.id)
    assert attributes_of(refused)["error.type"] == "streamq.enqueued.AlreadyEnqueued"
    parents = {id_of(one.parent) for one in telemetry.spans("process")}
    assert parents == {id_of(schedule), id_of(send)}


async def test_a_tick_of_a_schedule_begins_a_trace(app: App, telemetry: Telemetry) -> None:
    done = asyncio.Event()

    @app.every(timedelta(seconds=1), type="tick")
    async def tick() -> None:
        done.set()

    async with running(app):
        await done.wait()
    assert telemetry.spans("process")[0].parent is None


async def test_a_job_that_is_redriven_or_replayed_keeps_its_trace_and_baggage(
    app: App, telemetry: Telemetry, client: redis.Redis
) -> None:
    seen: list[object] = []
    broken = True
    client.xgroup_create("jobs", "other", "0", mkstream=True)  # so that the entry stays

    @app.group("g").handler("t", retries=0)
    async def handle() -> None:
        seen.append(baggage.get_baggage("tenant"))
        if broken:
            raise ValueError

    token = context.attach(baggage.set_baggage("tenant", "acme"))
    job = await app.produce("t")
    context.detach(token)
    await drain(app, groups=["g"])
    broken = False
    dead = app.admin.dead_letters("jobs", "g")
    [letter] = [one async for one in dead.list()]
    await dead.redrive([letter.id])
    await app.admin.replay("jobs", "g", [job.id])
    await drain(app, groups=["g"])
    assert seen == ["acme"] * 3
    parents = {id_of(one.parent) for one in telemetry.spans("process")}
    assert parents == {id_of(telemetry.span("send"))}


# -- metrics ------------------------------------------------------------------


async def test_the_metrics_of_the_conventions(app: App, telemetry: Telemetry) -> None:
    @app.group("g").handler("t", retries=1, backoff=AT_ONCE)
    async def handle(n: int) -> None:
        if n == 1:
            raise ValueError("bad")

    await app.produce("t", {"n": 0})
    await app.produce_many([("t", {"n": 1}), ("t", {"n": 2})])
    with pytest.raises(PayloadError):
        await app.produce("t", {"n": object()})
    await drain(app)

    def short(name: str) -> dict[tuple[str, ...], int]:
        return {
            tuple(str(attributes[key]) for key in sorted(attributes) if key in WANTED): value
            for attributes, value in telemetry.points(name)
        }

    sent = telemetry.points("messaging.client.sent.messages")
    assert {tuple(sorted(one)) for one, _ in sent} == {
        ("messaging.destination.name", "messaging.operation.name", "messaging.system",
         "server.address"),
        ("error.type", "messaging.destination.name", "messaging.operation.name",
         "messaging.system", "server.address"),
    }  # fmt: skip
    assert short("messaging.client.sent.messages") == {
        ("send",): 3,
        ("streamq.errors.PayloadError", "send"): 1,
    }
    assert short("messaging.client.operation.duration") == {
        ("send",): 2,
        ("streamq.errors.PayloadError", "send"): 1,
    }
    assert short("messaging.client.consumed.messages") == {("g", "process"): 4}
    assert short("messaging.process.duration") == {
        ("g", "process", "succeeded"): 2,
        ("ValueError", "g", "process", "retry"): 1,
        ("ValueError", "g", "process", "dead"): 1,
    }


WANTED = {
    "error.type", "messaging.consumer.group.name", "messaging.operation.name",
    "messaging.streamq.outcome",
}  # fmt: skip


# -- without ------------------------------------------------------------------


async def test_inline_there_is_no_server_to_ask(telemetry: Telemetry) -> None:
    app = App(middleware=[telemetry.middleware()])

    @app.handler("t", retries=1)
    async def handle(job: Job) -> None:
        if job.attempt == 1:
            raise ValueError

    done = await Inline(app).produce("t")
    assert [one.outcome for one in done] == [Outcome.RETRY, Outcome.SUCCEEDED]
    assert app.peer is None
    assert "server.address" not in attributes_of(telemetry.spans("process")[0])


async def test_without_an_sdk_a_trace_is_passed_on(server: RedisServer) -> None:
    """What is not recorded here may be recorded by those who come next."""
    seen: list[str | None] = []
    without = OpenTelemetry(
        tracer_provider=NoOpTracerProvider(), meter_provider=NoOpMeterProvider()
    )
    async with App(server.unix_url, middleware=[without]) as app:

        @app.handler("t", retries=1, backoff=AT_ONCE)
        async def handle(job: Job) -> None:
            if job.attempt == 1:
                raise ValueError
            job.emit("next")
            await app.produce("next")

        @app.handler("next")
        async def after(job: Job) -> None:
            seen.append(job.trace)

        await app.produce("t", trace=PARENT)
        await app.produce("next")
        await drain(app)
    assert sorted(map(str, seen)) == [PARENT, PARENT, "None"]


async def test_a_server_that_does_not_tell_of_earlier_attempts_does_no_harm(
    app: App, telemetry: Telemetry, client: redis.Redis
) -> None:
    handler(app)
    job = await app.produce("t")
    client.xgroup_create("jobs", "default", "0")
    client.xreadgroup("default", "dead", {"jobs": ">"})
    client.xclaim("jobs", "default", "~retry", 0, [job.id], justid=True)
    client.zadd("{jobs}:group:default:retry", {job.id: 0})
    client.set(f"{{jobs}}:group:default:job:{job.id}", "no hash")
    await drain(app)
    process = telemetry.span("process")
    assert attributes_of(process)["messaging.streamq.attempt"] == 2
    assert linked(process) == [id_of(telemetry.span("send"))]


def test_what_an_instrumentation_leaves_out_goes_on_without_it(server: RedisServer) -> None:
    async def main() -> list[Outcome]:
        async with App(server.unix_url, middleware=[Instrumentation()]) as app:
            handler(app)
            app.handler("b", batch=2)(in_batch)
            await app.produce("t")
            await app.produce_many([("t", {}), ("b", {})])
            return (await drain(app)).outcomes

    assert asyncio.run(main()) == [Outcome.SUCCEEDED] * 3


def test_nothing_else_imports_it() -> None:
    code = (
        "import streamq, sys, streamq.cli, streamq.app, streamq.observe.prometheus\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_it_says_what_is_missing() -> None:
    code = (
        "import sys; sys.modules['opentelemetry.metrics'] = None\n"
        "import streamq.observe.opentelemetry"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'streamq[opentelemetry]'" in done.stderr
