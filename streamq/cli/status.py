"""``streamq status``: what has become of one job in every group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from streamq.cli.allowed import AppOption, known_by
from streamq.cli.command import Argument, Family
from streamq.cli.connection import connect, run
from streamq.cli.options import Group, Json, Lease, Stream, Url, examples, from_server
from streamq.cli.output import (
    duration,
    exact,
    moment,
    progress,
    say,
    say_fields,
    say_json,
    say_traceback,
    until,
)
from streamq.cli.rows import Row, say_rows
from streamq.limits import DEFAULT_STREAM, LEASE

if TYPE_CHECKING:
    from streamq.admin import GroupStatus, JobStatus


def register(app: Family) -> None:
    """Add the command."""
    app.command(
        "status",
        epilog=examples(
            "streamq status 1716998413541-0",
            "streamq status 1716998413541-0 --group images --json",
        ),
    )(status)


def status(
    id: Annotated[str, Argument(metavar="ID", help="The job's ID.", complete=from_server("jobs"))],
    group: Group = None,
    json: Json = False,
    app: AppOption = None,
    lease: Lease = LEASE,
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """Show what has become of a job, in every group or in one.

    In each group it is queued, running, retrying or stalled, or finished: succeeded,
    expired, dead, skipped (it was for another group), or settled (no record says how).
    Unknown is a job that was deleted before the group came to it. A job for later is
    scheduled; its name leads to it for an hour after it was due. Of one that has failed, all
    attempts are listed, until its record expires. Where several partitions of the stream have
    a job of that ID, each is shown. Exit code 1 if there is no trace of the job.
    """

    async def main() -> None:
        from streamq.admin import Admin

        async with connect(url) as server:
            known = known_by(app)
            admin = Admin(server, lease=lease, allowed=known.allowed, codec=known.codec)
            jobs = await admin.statuses(stream, id, group)
        for i, job in enumerate(jobs):
            if json:
                say_json(exact(job.to_dict(), job.raw))
                continue
            if i:
                say()
            _show(job, lease)

    run(main)


def _show(job: JobStatus, lease: float) -> None:
    from streamq.admin.content import shown_data

    data = None
    if job.raw or job.ref:
        data = shown_data(job.raw, job.ref)
    elif not job.in_stream and not job.is_scheduled:
        data = "(not kept)"
    say_fields(
        {
            "job": job.id,
            "stream": job.stream,
            "type": "(not kept)" if job.type is None else job.type or "-",
            "status": None if job.due_at is None else "scheduled",
            "due": None if job.due_at is None else until(job.due_at),
            "created": _moment(job.created_at),
            "only for": job.only_for,
            "redriven from": job.origin,
            "data": data,
        }
    )
    for group in job.groups:
        say()
        say_fields(_fields(group, lease))
        _say_history(group)
        say_traceback(group.traceback)
    if not job.groups and not job.is_scheduled:
        say("\nNo group has been created on this stream yet: the job is queued")


def _fields(group: GroupStatus, lease: float) -> dict[str, object]:
    attempts = None
    if group.attempts is not None:
        of = f" of {group.max_attempts}" if group.max_attempts is not None else ""
        attempts = f"{group.attempts}{of}"
    consumer = group.consumer
    if group.consumer_alive is not None:
        consumer = f"{consumer} ({'alive' if group.consumer_alive else 'gone'})"
    next_attempt = None
    if group.state == "retrying":
        next_attempt = f"in {duration(group.next_attempt)}" if group.next_attempt else "now"
    state: str = group.state
    if state == "stalled":
        state += f" (silent for longer than the lease, assumed to be {duration(lease)})"
    took = None
    if group.started_at is not None and group.finished_at is not None:
        took = duration(max(group.finished_at - group.started_at, 0))
    return {
        "group": group.group,
        "status": state,
        "note": group.note,
        "attempts": attempts,
        "consumer": consumer,
        "idle": None if group.idle is None else duration(group.idle),
        "next attempt": next_attempt,
        "progress": progress(group.progress, group.progress_note),
        "started": _moment(group.started_at),
        "finished": _moment(group.finished_at),
        "took": took,
        "failed": _moment(group.failed_at),
        "dead since": _moment(group.dead_since),
        "reason": group.reason,
        "error": group.error,
        "result": None if group.result is None else _json(group.result),
        "dead letter": group.dead_letter,
    }


def _say_history(group: GroupStatus) -> None:
    if all(attempt.outcome == "succeeded" for attempt in group.history):
        return  # all that there is to tell has been told
    rows = [
        Row(
            (
                attempt.number, attempt.outcome, _moment(attempt.started_at) or "-",
                "-" if attempt.seconds is None else duration(attempt.seconds),
                attempt.consumer or "-",
            ),
            (attempt.error,),
        )
        for attempt in group.history
    ]  # fmt: skip
    titles = ("ATTEMPT", "OUTCOME", "STARTED", "TOOK", "CONSUMER")
    say_rows(titles, ("ERROR",), rows, right=("ATTEMPT",))


def _moment(unix: float | None) -> str | None:
    return None if unix is None else moment(unix)


def _json(value: object) -> str:
    from streamq.wire import json

    return json.dumps(value).decode()
