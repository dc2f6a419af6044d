"""What ``streamq pending`` shows: rows of jobs, a line for each group, what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from streamq.cli.group_state import state_lines
from streamq.cli.groups import who_pins
from streamq.cli.output import duration, progress, say
from streamq.cli.rows import Row, say_rows
from streamq.text import printable

if TYPE_CHECKING:
    from streamq.admin import GroupInfo, PendingJob, StreamInfo


PROGRESS = "PROGRESS"
"""A column that is there only where a job has told how far it is."""

PARTITION = "PARTITION"
"""A column that is there only where the stream has partitions."""


def show(jobs: Sequence[PendingJob], about: StreamInfo, groups: Sequence[GroupInfo]) -> None:
    total = sum(group.pending for group in groups)
    told = any(job.progress is not None for job in jobs)
    split = about.partitions is not None
    if jobs:
        say_rows(
            ("JOB", "GROUP", "TYPE", "STATE", "ATTEMPT", "IDLE", "WAITS FOR"),
            (
                *((PARTITION,) if split else ()),
                "CONSUMER",
                *((PROGRESS,) if told else ()),
                "ERROR",
                "DATA",
            ),
            [_row(job, told, split) for job in jobs],
        )
        say()
    if len(jobs) < total:
        say(f"{counted(len(jobs), 'job')} shown of {total:,} pending")
    elif not jobs:
        say("Nothing is pending")
    for group in groups:
        say(_summary(group))
    pinned = who_pins(about)
    if pinned:
        say(pinned)


def _row(job: PendingJob, told: bool, split: bool) -> Row:
    of = f" of {job.max_attempts}" if job.max_attempts is not None else ""
    consumer = None
    if job.consumer is not None:
        consumer = f"{job.consumer} ({'alive' if job.consumer_alive else 'gone'})"
    return Row(
        (
            job.id, job.group, job.type or "-", job.state, f"{job.attempt}{of}",
            duration(job.idle), _waits_for(job),
        ),
        (
            *((job.stream,) if split else ()),
            consumer,
            *((progress(job.progress, job.progress_note),) if told else ()),
            job.error,
            job.preview if job.in_stream else "(deleted from the stream)",
        ),
    )  # fmt: skip


def _waits_for(job: PendingJob) -> str | None:
    """Short, for a terminal of 80 columns."""
    if job.state not in ("retrying", "held"):
        return None
    match job.held_for:
        case "key" | "room":
            return f"{job.held_for}, {_ordinal(job.place)}"
        case "paused":
            return "resume"
        case _ if job.next_attempt:
            return f"{job.held_for or 'retry'}, {duration(job.next_attempt)}"
        case _:
            return "a worker"


def _ordinal(place: int | None) -> str:
    if place is None:
        return "last"
    ending = {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place:,}{'th' if place % 100 in (11, 12, 13) else ending}"


def _summary(group: GroupInfo) -> str:
    parts = [f"{group.pending:,} pending"]
    if group.pending:
        states = (
            f"{count:,} {state}"
            for state, count in (
                ("running", group.running),
                ("retrying", group.retrying),
                ("held", group.held),
                ("stalled", group.stalled),
            )
            if count
        )
        parts[0] += f" ({', '.join(states)})"
    parts.append("queued unknown" if group.queued is None else f"{group.queued:,} queued")
    parts.append(f"{group.dead:,} dead")
    alive = f"{counted(group.alive, 'consumer')} alive" if group.alive else "no consumer alive"
    return f"{printable(group.name)}: {', '.join((*parts, alive, *state_lines(group)))}"


def hints(
    jobs: Sequence[PendingJob], groups: Sequence[GroupInfo], app: str | None
) -> Iterator[str]:
    for group in groups:
        if not group.alive and (group.pending or group.queued != 0):
            yield f"\nNo worker for {printable(group.name)}. Start one:"
            option = f"--app {app} " if app else ""
            yield f"  streamq consume {option}--group {printable(group.name)}"
            return
    waiting = [job for job in jobs if job.state == "retrying" and job.next_attempt]
    if waiting:
        yield "\nRetry a job now, or give it up:"
        yield f"  streamq pending retry {waiting[0].id}"
        yield f"  streamq pending dead-letter {waiting[0].id} --group {waiting[0].group}"


def counted(count: int, what: str) -> str:
    """``1 job``, ``2 jobs``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
