"""Writing jobs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import ConfigDict, Discriminator, Field, Tag
from starlette.requests import Request

from streamq.enqueued import Enqueued
from streamq.errors import BacklogFull, NotReplicated
from streamq.limits import MAX_KEY
from streamq.new_job import NewJob
from streamq.produce.commands import with_options
from streamq.ui.api.operation import Call, Reply, Taken, Told
from streamq.ui.api.values import MOST, Moment, Seconds, StreamName, TypeName
from streamq.ui.http.problems import Problem, Refusal

KEY_HEADER = "Idempotency-Key"

HEADERS = {
    KEY_HEADER: "The same as `unique`: a request that is sent again with the same key writes "
    "nothing again. Of several jobs, the first has `KEY:0`, the next `KEY:1` and so on.",
    "traceparent": "The W3C trace that the jobs belong to, handed on to their handlers.",
}

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

Key = Annotated[str, Field(min_length=1, max_length=MAX_KEY)]


class JobToWrite(Taken):
    """A job to be written."""

    model_config = ConfigDict(strict=True)

    type: Annotated[TypeName, Field(min_length=1)]
    """What kind of job it is: which handler runs it."""
    data: dict[str, Any] = Field(default_factory=dict)
    """What the handler gets."""
    stream: StreamName | None = None
    """Where to. [default: the app's own, else `jobs`]"""
    priority: str | None = None
    """Where to, by one of the app's priorities, in place of `stream`."""
    key: Key | None = None
    """The order key: what belongs together."""
    unique: Key | None = None
    """An idempotency key: while it is remembered, the same key writes nothing."""
    unique_for: Seconds | None = None
    """For how long it is remembered. [default: a day]"""
    unique_until: Literal["settled"] | None = None
    """`settled`: it is free again when every group has settled the job, too."""
    on_conflict: Literal["keep", "replace", "error"] = "keep"
    """What becomes of the job that has the key: it is kept, or replaced while it is for later,
    or this is refused with 409."""
    delay: Seconds | None = None
    """For how long it waits before it is written to the stream."""
    at: Moment | None = None
    """When it is written to the stream, in place of `delay`."""
    expires: Seconds | None = None
    """After how long, counted from its writing, it is no longer run."""


class Written(Told):
    """What became of a job that was to be written."""

    id: str
    """Its ID; of a job for later, the name of its schedule."""
    stream: str
    created: bool
    """`false` when its idempotency key was known: this is the first job's ID."""
    replaced: bool
    """Whether that one, which waits for its time, has the new data and time."""
    scheduled_for: str | None
    """When it will be written to the stream, if it is for later."""


def _which(value: Any) -> str:
    return "jobs" if isinstance(value, list) else "job"


Jobs = Annotated[
    Annotated[JobToWrite, Tag("job")]
    | Annotated[list[JobToWrite], Field(min_length=1, max_length=MOST), Tag("jobs")],
    Discriminator(_which),
]


async def produce(call: Call) -> Reply:
    """Write a job, or several.

    Send an object for one job, or a list of up to 1,000. A list is no transaction: it is written
    in its order, and when something stops it, the jobs before that are written. With an
    idempotency key, sending it all again is safe.
    """
    many = isinstance(call.body, list)
    jobs: list[JobToWrite] = call.body if many else [call.body]
    header = _key_of(call.request)
    trace = call.request.headers.get("traceparent", "")
    made = [
        NewJob(
            job.type, job.data, key=job.key,
            unique=_unique(job, None if header is None else f"{header}:{n}" if many else header),
            unique_for=job.unique_for, unique_until=job.unique_until,
            on_conflict=job.on_conflict, delay=job.delay, at=job.at, expires=job.expires,
            trace=trace if _TRACEPARENT.fullmatch(trace) else None,
        )
        for n, job in enumerate(jobs)
    ]  # fmt: skip
    app = call.served.app
    streams = [call.served.stream(app.priorities.choose(job.stream, job.priority)) for job in jobs]
    if many:
        for target, job in zip(streams, made, strict=True):
            with_options(target, job, app.max_payload, app.codec)  # raises before any is written
    written = [
        _written(stream, one)
        for stream, one in zip(streams, await _write(call, streams, made), strict=True)
    ]
    status = 201 if any(one["created"] for one in written) else 200
    if many:
        return Reply(written, status)
    [one] = written
    return Reply(one, status, {"location": _location(call.request, app.stream, one)})


async def _write(call: Call, streams: Sequence[str], jobs: Sequence[NewJob]) -> Sequence[Enqueued]:
    """Write jobs, those of each stream together."""
    app = call.served.app
    if len(jobs) == 1:
        [job], [stream] = jobs, streams
        return [await app.producer.produce(stream, job)]
    found: dict[int, Enqueued] = {}
    try:
        for stream in dict.fromkeys(streams):
            places = [n for n, one in enumerate(streams) if one == stream]
            done = await app.produce_many([jobs[n] for n in places], stream=stream)
            found |= zip(places, done, strict=True)
    except (BacklogFull, NotReplicated) as error:
        error.job_ids[:0] = [one.id for one in found.values()]
        raise
    return [found[n] for n in range(len(jobs))]


def _key_of(request: Request) -> str | None:
    """The idempotency key in the header; it may stand in quotes, as its draft standard wants."""
    given = request.headers.get(KEY_HEADER)
    if given is None:
        return None
    key = given.strip()
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not 0 < len(key) <= MAX_KEY:
        raise Refusal(_bad_key(f"the header {KEY_HEADER} takes 1 to {MAX_KEY} characters"))
    return key


def _unique(job: JobToWrite, header: str | None) -> str | None:
    if header is not None and job.unique not in (None, header):
        raise Refusal(
            _bad_key(f"the header {KEY_HEADER} and unique name different keys: leave one out")
        )
    return header or job.unique


def _bad_key(detail: str) -> Problem:
    return Problem(400, "invalid_request", "Cannot work as given", detail)


def _written(stream: str, job: Enqueued) -> dict[str, Any]:
    due = job.scheduled_for
    return {
        "id": job.id,
        "stream": stream,
        "created": job.created,
        "replaced": job.replaced,
        "scheduled_for": None if due is None else due.isoformat(),
    }


def _location(request: Request, home: str, written: dict[str, Any]) -> str:
    stream = written["stream"]
    where = "" if stream == home else f"?stream={quote(stream, safe='')}"
    return f"{request.scope.get('root_path', '')}/jobs/{written['id']}{where}"
