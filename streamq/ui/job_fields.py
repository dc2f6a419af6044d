"""All that is known of a job, as names and values for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamq.text import duration, moment, progress, until

if TYPE_CHECKING:
    from streamq.admin import Attempt, GroupStatus, JobStatus

Fields = dict[str, object]
"""By name; what is ``None`` is not known, or does not apply."""


def job_fields(job: JobStatus) -> Fields:
    """The job itself."""
    from streamq.admin.content import shown_data

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
        "created": known_moment(job.created_at),
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
        "started": known_moment(group.started_at),
        "finished": known_moment(group.finished_at),
        "took": took,
        "failed": known_moment(group.failed_at),
        "dead since": known_moment(group.dead_since),
        "reason": group.reason,
        "error": group.error,
        "result": None if group.result is None else _json(group.result),
        "dead letter": group.dead_letter,
    }


def told_attempts(group: GroupStatus) -> tuple[Attempt, ...]:
    """The attempts worth telling one by one: not of a job of which all is told already."""
    succeeded = all(attempt.outcome == "succeeded" for attempt in group.history)
    return () if succeeded else group.history


def known_moment(unix: float | None) -> str | None:
    """A time, if it is known."""
    return None if unix is None else moment(unix)


def _json(value: object) -> str:
    from streamq.wire import json

    return json.dumps(value).decode()
