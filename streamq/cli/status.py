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
    say,
    say_fields,
    say_json,
    say_traceback,
)
from streamq.cli.rows import Row, say_rows
from streamq.limits import DEFAULT_STREAM, LEASE
from streamq.ui.job_fields import Fields, group_fields, job_fields, known_moment, told_attempts

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
    say_fields(job_fields(job))
    for group in job.groups:
        say()
        say_fields(_fields(group, lease))
        _say_history(group)
        say_traceback(group.traceback)
    if not job.groups and not job.is_scheduled:
        say("\nNo group has been created on this stream yet: the job is queued")


def _fields(group: GroupStatus, lease: float) -> Fields:
    fields = group_fields(group)
    if group.state == "stalled":
        silent = f"silent for longer than the lease, assumed to be {duration(lease)}"
        fields["status"] = f"stalled ({silent})"
    return fields


def _say_history(group: GroupStatus) -> None:
    attempts = told_attempts(group)
    if not attempts:
        return
    rows = [
        Row(
            (
                attempt.number, attempt.outcome, known_moment(attempt.started_at) or "-",
                "-" if attempt.seconds is None else duration(attempt.seconds),
                attempt.consumer or "-",
            ),
            (attempt.error,),
        )
        for attempt in attempts
    ]  # fmt: skip
    titles = ("ATTEMPT", "OUTCOME", "STARTED", "TOOK", "CONSUMER")
    say_rows(titles, ("ERROR",), rows, right=("ATTEMPT",))
