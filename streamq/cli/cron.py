"""``streamq cron``: the schedules of periodic jobs."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from streamq.cli.command import Argument, Family, Option
from streamq.cli.connection import connect, run
from streamq.cli.options import (
    JsonLines,
    Lease,
    Stream,
    Url,
    Yes,
    among,
    at_least,
    examples,
    family,
    from_server,
    one_of,
    seconds,
)
from streamq.cli.output import confirm, duration, exact, say, say_json
from streamq.cli.rows import Row, say_rows
from streamq.errors import ConfigError, JobNotFound, StreamNotFound
from streamq.limits import DEFAULT_STREAM, LEASE, MAX_MISSED, MISSED
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


class Missed(StrEnum):
    """What becomes of ticks at which no worker was there."""

    SKIP = "skip"
    LATEST = "latest"
    ALL = "all"


class Overlap(StrEnum):
    """Whether a job is written while the last one is not settled."""

    ALLOW = "allow"
    SKIP = "skip"


commands = family("List, create, pause, resume, run or delete the schedules of periodic jobs.")

Name = Annotated[
    str,
    Argument(metavar="NAME", help="The schedule's name.", complete=from_server("schedules")),
]
NewName = Annotated[str, Argument(metavar="NAME", help="The schedule's name.")]


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
            _say_schedules(rows)
        elif not json:
            say(f"The stream {printable(stream)} has no schedules")

    run(main)


@commands.command(
    epilog=examples(
        "streamq cron create report '0 7 * * MON' --tz Europe/Berlin",
        'streamq cron create sweep --every 5m --type sweep --data \'{"dir": "/tmp"}\'',
    )
)
def create(
    name: NewName,
    expression: Annotated[
        str | None,
        Argument(
            metavar="EXPRESSION",
            help="Minute, hour, day of month, month and day of week, in quotes: '0 7 * * MON'.",
        ),
    ] = None,
    every: Annotated[
        float | None,
        Option("--every", metavar="TIME", parser=seconds, help="An interval in its place."),
    ] = None,
    tz: Annotated[
        str | None,
        Option("--tz", metavar="ZONE", help="The time zone of the expression. [default: UTC]"),
    ] = None,
    type: Annotated[
        str | None,
        Option("--type", "-t", metavar="TYPE", help="The type of its jobs. [default: NAME]"),
    ] = None,
    data: Annotated[
        str | None, Option("--data", "-d", metavar="JSON", help="Their data, a JSON object.")
    ] = None,
    group: Annotated[
        str | None,
        Option(
            "--group",
            "-g",
            metavar="NAME",
            help="The one group that they are for. [default: every group]",
            complete=from_server("groups"),
        ),
    ] = None,
    key: Annotated[str | None, Option("--key", metavar="KEY", help="Their order key.")] = None,
    expires: Annotated[
        float | None,
        Option(
            "--expires", metavar="TIME", parser=seconds, help="Run each within that time, or never."
        ),
    ] = None,
    missed: Annotated[
        Missed,
        Option(
            "--missed",
            metavar="WHICH",
            parser=one_of(Missed),
            complete=among(Missed),
            help="Which ticks are made up for when no worker was there: skip, latest or all.",
        ),
    ] = Missed.LATEST,
    most: Annotated[
        int,
        Option(
            "--most", metavar="N", parser=at_least(1, MAX_MISSED), help="How many at most, of all."
        ),
    ] = MISSED,
    overlap: Annotated[
        Overlap,
        Option(
            "--overlap",
            metavar="WHETHER",
            parser=one_of(Overlap),
            complete=among(Overlap),
            help="Whether a job is written while the last one is not settled: allow or skip.",
        ),
    ] = Overlap.ALLOW,
    paused: Annotated[bool, Option("--paused", help="Do not begin before it is resumed.")] = False,
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """Create a schedule. Exit code 1 if there is one of that name.

    Each of its ticks is one job, however many workers there are. Any worker of the stream
    writes it.
    """

    async def main() -> None:
        from streamq.admin import Admin
        from streamq.cli.produce.jobs import from_data

        values = None if data is None else from_data(data, "")[1]
        if expression is None and every is None:
            raise ConfigError("give an EXPRESSION such as '0 7 * * MON', or --every TIME")
        async with connect(url) as server:
            made = await Admin(server).schedules.create(
                stream, name, name if type is None else type, values, cron=expression, every=every,
                tz=tz, group=group, key=key, expires=expires, missed=missed.value, most=most,
                overlap=overlap.value, paused=paused,
            )  # fmt: skip
        when = "it is paused" if made.next_tick is None else f"next: {_time(made, made.next_tick)}"
        say(f"Created the schedule {name} on {printable(stream)}; {when}")

    run(main)


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
                confirm(f"Delete the schedule {printable(name)}, {_when(one)}?", yes=yes)
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


def _say_schedules(rows: list[tuple[ScheduleInfo, JobStatus | None]]) -> None:
    say_rows(
        ("NAME", "WHEN", "ZONE", "LAST TICK", "NEXT TICK"),
        ("LAST JOB", "STATE"),
        [
            Row(
                (
                    one.name, _when(one), one.tz or "-", _time(one, one.last_tick),
                    _time(one, one.next_tick),
                ),
                (_became(one, job), _state(one)),
            )
            for one, job in rows
        ],
    )  # fmt: skip


def _when(one: ScheduleInfo) -> str:
    if one.cron is not None:
        return one.cron
    return "-" if one.every is None else f"every {duration(one.every)}"


def _time(one: ScheduleInfo, unix: float | None) -> str:
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
