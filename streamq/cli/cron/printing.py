"""Schedules as a person reads them: times are those of the schedule's own zone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamq.cli.output import duration
from streamq.cli.rows import Row, say_rows

if TYPE_CHECKING:
    from streamq.admin import JobStatus, ScheduleInfo


def say_schedules(rows: list[tuple[ScheduleInfo, JobStatus | None]]) -> None:
    """The schedules, and what has become of their last jobs."""
    say_rows(
        ("NAME", "WHEN", "ZONE", "LAST TICK", "NEXT TICK"),
        ("LAST JOB", "STATE"),
        [
            Row(
                (
                    one.name, when(one), one.tz or "-", time(one, one.last_tick),
                    time(one, one.next_tick),
                ),
                (_became(one, job), _state(one)),
            )
            for one, job in rows
        ],
    )  # fmt: skip


def when(one: ScheduleInfo) -> str:
    """The expression, or the interval."""
    if one.cron is not None:
        return one.cron
    return "-" if one.every is None else f"every {duration(one.every)}"


def time(one: ScheduleInfo, unix: float | None) -> str:
    """A time as the clocks of the schedule's zone show it."""
    if unix is None:
        return "-"
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    moment = datetime.fromtimestamp(unix, UTC)
    if one.tz is not None:
        moment = moment.astimezone(ZoneInfo(one.tz))
    return moment.isoformat(" ", "seconds")


def _became(one: ScheduleInfo, job: JobStatus | None) -> str:
    if one.last_job is None:
        return "-"
    if job is None:
        return f"{one.last_job} no trace of it"
    meant = [group for group in job.groups if one.group in (None, group.group)]
    states = {group.state for group in meant}
    if len(states) < 2:
        return f"{one.last_job} {next(iter(states), 'queued')}"
    return f"{one.last_job} " + ", ".join(f"{group.group}: {group.state}" for group in meant)


def _state(one: ScheduleInfo) -> str:
    if one.problem is not None:
        return f"does not tick: {one.problem}"
    if one.paused_since is not None:
        return "paused"
    if one.has_worker is False:
        return "in no worker's code any more: does not tick"
    return "in the code of workers" if one.declared else "made at run time"
