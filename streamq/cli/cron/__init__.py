"""``streamq cron``: the schedules of periodic jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamq.cli.command import Family
from streamq.cli.connection import connect, run
from streamq.cli.cron import making
from streamq.cli.cron.making import Name
from streamq.cli.cron.printing import say_schedules, when
from streamq.cli.options import JsonLines, Lease, Stream, Url, Yes, examples, family
from streamq.cli.output import confirm, exact, say, say_json
from streamq.errors import ConfigError, JobNotFound, StreamNotFound
from streamq.limits import DEFAULT_STREAM, LEASE
from streamq.text import printable

if TYPE_CHECKING:
    from streamq.admin import Admin, JobStatus, ScheduleInfo


def register(app: Family) -> None:
    """Add the commands."""
    app.add(
        commands,
        name="cron",
        epilog=examples(
            "streamq cron list",
            "streamq cron create report '0 7 * * MON' --tz Europe/Berlin",
        ),
    )


commands = family("List, create, change, pause, run or delete schedules of periodic jobs.")


@commands.command(
    "list", epilog=examples("streamq cron list", "streamq cron list --stream mails --json")
)
def list_(
    json: JsonLines = False,
    lease: Lease = LEASE,
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """List the schedules, and what has become of their last jobs.

    Times are those of the schedule's own zone.
    """

    async def main() -> None:
        from streamq.admin import Admin

        async with connect(url) as server:
            admin = Admin(server, lease=lease)
            schedules = await admin.schedules.list(stream)
            rows = [(one, await _last_job(admin, one)) for one in schedules]
        for one, job in rows if json else ():
            states = {group.group: group.state for group in job.groups} if job else None
            say_json(exact({**one.to_dict(), "last_job_groups": states}, one.raw))
        if not json and rows:
            say_schedules(rows)
        elif not json:
            say(f"The stream {printable(stream)} has no schedules")

    run(main)


making.register(commands)


@commands.command(epilog=examples("streamq cron pause report"))
def pause(name: Name, stream: Stream = DEFAULT_STREAM, url: Url = None) -> None:
    """Let a schedule tick no more, until it is resumed. Exit code 1 if there is none.

    That holds for one in the code of workers too, however often they are started.
    """

    async def main() -> None:
        from streamq.admin import Admin

        async with connect(url) as server:
            paused = await Admin(server).schedules.pause(stream, name)
        say(f"Paused {printable(name)}" if paused else f"{printable(name)} is paused already")

    run(main)


@commands.command(epilog=examples("streamq cron resume report"))
def resume(name: Name, stream: Stream = DEFAULT_STREAM, url: Url = None) -> None:
    """Let a paused schedule tick again. Exit code 1 if there is none.

    It goes on with its next tick; those of the meantime are not made up for.
    """

    async def main() -> None:
        from streamq.admin import Admin

        async with connect(url) as server:
            resumed = await Admin(server).schedules.resume(stream, name)
        say(f"Resumed {printable(name)}" if resumed else f"{printable(name)} is not paused")

    run(main)


@commands.command("run-now", epilog=examples("streamq cron run-now report"))
def run_now(name: Name, stream: Stream = DEFAULT_STREAM, url: Url = None) -> None:
    """Write one of a schedule's jobs now, beside its ticks. Exit code 1 if there is none."""

    async def main() -> None:
        from streamq.admin import Admin

        async with connect(url) as server:
            say(f"Enqueued job: {await Admin(server).schedules.run_now(stream, name)}")

    run(main)


@commands.command(epilog=examples("streamq cron delete report", "streamq cron delete report --yes"))
def delete(name: Name, yes: Yes = False, stream: Stream = DEFAULT_STREAM, url: Url = None) -> None:
    """Delete a schedule; its jobs stay. You are asked first.

    Exit code 1 if there is none, or it stands in the code of a worker.
    """

    async def main() -> None:
        from streamq.admin import Admin

        async with connect(url) as server:
            schedules = Admin(server).schedules
            one = await schedules.get(stream, name)
            if not one.has_worker:  # otherwise it is refused anyway
                confirm(f"Delete the schedule {printable(name)}, {when(one)}?", yes=yes)
            await schedules.delete(stream, name)
        say(f"Deleted the schedule {printable(name)} of {printable(stream)}")

    run(main)


async def _last_job(admin: Admin, one: ScheduleInfo) -> JobStatus | None:
    """What has become of a schedule's last job; ``None`` when there is no trace of it."""
    if one.last_job is None:
        return None
    try:
        return await admin.status(one.stream, one.last_job)
    except (ConfigError, JobNotFound, StreamNotFound):
        return None
