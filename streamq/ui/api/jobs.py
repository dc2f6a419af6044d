"""One job: what has become of it, its result, and its cures; and those that wait."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Literal

from pydantic import Field

from streamq.admin import CancelOutcome, RetryNow
from streamq.admin import PendingJob as Pending
from streamq.errors import JobNotFound, ResultTimeout
from streamq.results import Finished
from streamq.text import printable
from streamq.ui.api.operation import Call, Reply, StreamQuery, Told
from streamq.ui.api.values import PAGE, GroupName, Limit, PendingPlace, QuerySeconds
from streamq.ui.http.serving import stopping

LONGEST = 60.0
"""Seconds for which one request waits for a result at most."""


class GroupQuery(StreamQuery):
    """Which job in which groups."""

    group: GroupName | None = None
    """Only in this group. [default: in all]"""


class EmittedJob(Told):
    """A job that another has written."""

    stream: str
    id: str


class Attempt(Told):
    """One attempt of a job, after its end."""

    number: int
    outcome: str
    """`failed`, `timed out`, `worker lost`, `succeeded`, `cancelled` or `expired`."""
    consumer: str | None
    started_at: float | None
    seconds: float | None
    error: str | None


class JobInGroup(Told):
    """What has become of a job in one group; what does not apply is `null`."""

    group: str
    state: Literal[
        "queued", "running", "retrying", "held", "stalled", "succeeded", "expired", "cancelled",
        "dead", "skipped", "settled", "unknown",
    ]  # fmt: skip
    attempts: int | None
    max_attempts: int | None
    consumer: str | None
    consumer_alive: bool | None
    idle: float | None
    next_attempt: float | None
    """Seconds until its retry is due."""
    progress: float | None
    progress_note: str | None
    started_at: float | None
    """Unix time in seconds, as all times."""
    finished_at: float | None
    failed_at: float | None
    dead_since: float | None
    reason: str | None
    error: str | None
    result: Any
    note: str | None
    dead_letter: str | None
    """The ID of its dead letter."""
    traceback: str
    """Of a dead one, where its handler failed, shortened; empty where that is not kept."""
    emitted: list[EmittedJob]
    """Of one that succeeded, the jobs that it has written, the first 50."""
    emitted_count: int
    history: list[Attempt]
    """Its attempts that have ended, as far as its record remembers them."""


class Data(Told):
    """The data of a job, or why there is none."""

    data: Any
    raw: str = ""
    """What was written, where it is no JSON."""
    encrypted_with: str = ""
    """The ID of the key, where it is encrypted."""
    offloaded: int = 0
    """How many bytes it has, where it is kept outside the stream."""


class JobStatus(Data):
    """What has become of a job."""

    id: str
    stream: str
    type: str | None
    created_at: float | None
    in_stream: bool
    for_: str | None = Field(alias="for")
    """The one group that it is for."""
    origin: str | None
    """The ID that it had before it was redriven."""
    key: str | None
    """Its order key. This and the trace are known while its entry is there."""
    trace: str | None
    """Its W3C `traceparent`."""
    state: Literal["scheduled"] | None
    due_at: float | None
    groups: list[JobInGroup]


async def job(call: Call) -> Reply:
    """Show what has become of a job, in every group or in one."""
    found = await call.served.admin.status(call.stream, call.named("id"), call.query.group)
    return Reply(found.to_dict())


# -- its result ---------------------------------------------------------------


class ResultQuery(StreamQuery):
    """Which result, and how long to wait for it."""

    group: GroupName | None = None
    """The group whose result is wanted. [default: the stream's only one]"""
    timeout: QuerySeconds = 0.0
    """For how long to wait until it is finished; at most a minute. [default: only look]"""


class JobEnd(Told):
    """How a job has ended in a group."""

    id: str
    stream: str
    group: str
    state: Literal["succeeded", "dead", "expired", "cancelled", "skipped", "settled"]
    result: Any
    """What the handler returned; `null` as well where that is not kept."""
    error: str | None
    """Why there is no result."""
    dead_letter: str | None
    """The ID of its dead letter."""


class NotFinished(Told):
    """The job goes on."""

    id: str
    stream: str
    state: Literal["unfinished"]
    detail: str


async def result(call: Call) -> Reply:
    """Wait for the result of a job in a group.

    It answers as soon as the job is finished there. Whatever its end, the answer is 200; `state`
    says which it was. With 202 it is not finished: ask again.
    """
    stream, id = call.stream, call.named("id")
    results = call.served.app.job(id, stream=stream).home.results()
    waiting = results.finished(stream, id, call.query.group, min(call.query.timeout, LONGEST), None)
    try:
        found = await _unless_given_up(call, waiting)
    except ResultTimeout as error:
        told = {"id": id, "stream": stream, "state": "unfinished", "detail": printable(error)}
        return Reply(told, 202, {"retry-after": "1"})
    why = found.error
    if isinstance(why, JobNotFound):
        raise why
    return Reply(
        {
            "id": id,
            "stream": stream,
            "group": found.group,
            "state": found.state,
            "result": found.value if why is None else None,
            "error": None if why is None else printable(why, 2000),
            "dead_letter": None if found.letter is None else found.letter.id,
        }
    )


async def _unless_given_up(call: Call, waiting: Any) -> Finished:
    """Wait, unless the caller has gone, or the server is told to stop."""
    work = asyncio.ensure_future(waiting)
    others = [
        asyncio.ensure_future(_gone(call)),
        asyncio.ensure_future(stopping(call.request.scope).wait()),
    ]
    try:
        await asyncio.wait([work, *others], return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ResultTimeout("the server stops; ask again when it is back")
        found: Finished = work.result()
        return found
    finally:
        for task in (work, *others):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task


async def _gone(call: Call) -> None:
    while (await call.request.receive())["type"] != "http.disconnect":
        pass


# -- its cures ----------------------------------------------------------------


class CancelledJob(Told):
    """What became of a job that was to be cancelled."""

    job_id: str
    cancelled: bool
    """Whether it is, or will be within a second, in at least one group."""
    taken_back: bool
    """Whether no group had it yet."""
    groups: dict[str, CancelOutcome]


async def cancel(call: Call) -> Reply:
    """Cancel a job, in every group or in one.

    What waits does not run. What runs is cancelled within a second (`cancelling`). What had
    ended is left as it is (`settled`, or `unknown` once its entry is gone).
    """
    stream, id, group = call.stream, call.named("id"), call.query.group
    admin = call.served.admin
    done = await admin.cancel(stream, id, group=group)
    if not done and set(done.groups.values()) <= {CancelOutcome.UNKNOWN}:
        await admin.status(stream, id, group)  # raises if there is no trace of it
    return Reply(done.to_dict() | {"cancelled": bool(done)})


class RetriedJob(Told):
    """What became of a job that was to be retried now."""

    id: str
    due: bool
    """Whether at least one group runs it as soon as a worker has room."""
    groups: dict[str, RetryNow]


async def retry(call: Call) -> Reply:
    """Let a job that waits for its retry, or is stalled, run now; in every group or in one.

    A job for later is written to its stream now. A dead one is not pending: redrive its dead
    letter.
    """
    stream, admin = call.stream, call.served.admin
    job = await admin.status(stream, call.named("id"), call.query.group)
    if job.is_scheduled:
        return Reply({"id": job.id, "due": await admin.run_now(stream, job.id), "groups": {}})
    done = {
        one.group: (await admin.retry_now(stream, one.group, [job.id]))[job.id]
        for one in job.groups
    }
    return Reply({"id": job.id, "due": RetryNow.DUE in done.values(), "groups": done})


# -- those that wait ----------------------------------------------------------


class PendingQuery(StreamQuery):
    """Which pending jobs."""

    group: GroupName | None = None
    """Only of this group. [default: of all]"""
    consumer: str | None = None
    """Only those that this consumer holds."""
    state: list[Literal["running", "retrying", "held", "stalled"]] = Field(default_factory=list)
    """Only these of `running`, `retrying`, `held` and `stalled`; may be repeated."""
    min_idle: QuerySeconds = 0.0
    """Only those idle for this long."""
    limit: Limit = PAGE
    """How many at most."""
    after: PendingPlace | None = None
    """Where the page before ended: its `next`."""


class PendingJob(Told):
    """A job that was delivered to a group and is not settled."""

    id: str
    type: str
    stream: str
    group: str
    consumer: str | None
    consumer_alive: bool | None
    idle: float
    attempt: int
    max_attempts: int | None
    state: Literal["running", "retrying", "held", "stalled"]
    next_attempt: float | None
    error: str | None
    preview: str
    """The beginning of its data."""
    in_stream: bool
    offloaded: int | None
    held_for: Literal["key", "rate", "room", "paused"] | None
    place: int | None
    progress: float | None
    progress_note: str | None


class PendingPage(Told):
    """Some pending jobs: group by group, oldest first."""

    items: list[PendingJob]
    next: str | None
    """What to give as `after` for the next page; `null` after the last one."""


async def pending(call: Call) -> Reply:
    """List the jobs that were delivered and are not settled, page by page."""
    admin, stream, query = call.served.admin, call.stream, call.query
    names = sorted(await admin.group_names(stream, query.group))
    begun, after = _place(query.after)
    found: list[Pending] = []
    for name in names:
        if name < begun:
            continue
        async for job in admin.pending(
            stream, name, consumer=query.consumer, min_idle=query.min_idle, states=query.state,
            limit=query.limit + 1 - len(found), after=after if name == begun else None,
        ):  # fmt: skip
            found.append(job)
        if len(found) > query.limit:
            break
    page = found[: query.limit]
    more = len(found) > len(page)
    following = f"{page[-1].group}/{page[-1].id}" if more else None
    return Reply({"items": [job.to_dict() for job in page], "next": following})


def _place(after: str | None) -> tuple[str, str | None]:
    """The group and the job at which the page before has ended."""
    if after is None:
        return "", None
    group, _, id = after.rpartition("/")
    return group, id


class ScheduledQuery(StreamQuery):
    """Which jobs for later."""

    limit: Limit = PAGE
    """How many at most: those due first."""


class ScheduledJob(Data):
    """A job that is written to its stream later."""

    name: str
    """Its ID until then: `/jobs/{id}` takes it."""
    stream: str
    type: str
    due_at: float
    key: str | None
    unique: str | None
    expires: float | None
    trace: str | None


class ScheduledPage(Told):
    """The jobs for later that are due first."""

    items: list[ScheduledJob]
    more: bool
    """Whether there are others."""


async def scheduled(call: Call) -> Reply:
    """List the jobs for later, those due first."""
    limit = call.query.limit
    found = [
        job.to_dict() async for job in call.served.admin.scheduled(call.stream, limit=limit + 1)
    ]
    return Reply({"items": found[:limit], "more": len(found) > limit})
