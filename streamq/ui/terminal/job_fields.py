"""All that is known of a job, as names and values for a person."""

from __future__ import annotations

from streamq.admin import GroupStatus, JobStatus
from streamq.admin.content import shown_data
from streamq.text import duration, moment, printable, progress, until
from streamq.wire import json

Fields = dict[str, object]
"""By name; what is ``None`` is not known, or does not apply."""


def job_fields(job: JobStatus) -> Fields:
    """The job itself."""
    data = None
    if job.raw or job.ref:
        data = shown_data(job.raw, job.ref)
    elif not job.in_stream and not job.is_scheduled:
        data = "(not kept)"
    return {
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


def group_fields(group: GroupStatus) -> Fields:
    """What has become of it in one group."""
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
    took = None
    if group.started_at is not None and group.finished_at is not None:
        took = duration(max(group.finished_at - group.started_at, 0))
    return {
        "group": group.group,
        "status": group.state,
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
        "result": None if group.result is None else printable(json.dumps(group.result)),
        "dead letter": group.dead_letter,
    }


def _moment(unix: float | None) -> str | None:
    return None if unix is None else moment(unix)
