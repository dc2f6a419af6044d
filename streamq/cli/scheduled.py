"""``streamq scheduled``: jobs for later, listed, shown, moved or cancelled."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from streamq.cli.command import Argument, Family, Option
from streamq.cli.connection import connect, run, run_or_refuse
from streamq.cli.options import (
    SHOWN,
    Json,
    JsonLines,
    Limit,
    Stream,
    Url,
    Yes,
    examples,
    family,
    from_server,
    moment,
    seconds,
)
from streamq.cli.output import (
    complain,
    confirm,
    duration,
    exact,
    is_terminal,
    say,
    say_fields,
    say_json,
    until,
)
from streamq.cli.rows import Row, say_rows
from streamq.errors import ConfigError
from streamq.limits import DEFAULT_STREAM
from streamq.text import printable

if TYPE_CHECKING:
    from streamq.admin import Admin, ScheduledJob

PREVIEW = 120
"""Characters of a job's data that a terminal shows in a list."""


def register(app: Family) -> None:
    """Add the commands."""
    app.add(
        commands,
        name="scheduled",
        short_help="List, show, move or cancel jobs for later.",
        epilog=examples("streamq scheduled list", "streamq scheduled run-now s-5f0e9a3c41d7b268"),
    )


commands = family("List, show, move or cancel jobs for later: those that wait for their time.")

Name = Annotated[
    str,
    Argument(
        metavar="NAME",
        help="The job's name, which produce has printed.",
        complete=from_server("scheduled"),
    ),
]
Names = Annotated[
    list[str],
    Argument(
        metavar="NAME",
        help="The jobs' names, which produce has printed.",
        complete=from_server("scheduled"),
    ),
]


@commands.command(
    "list",
    epilog=examples(
        "streamq scheduled list",
        "streamq scheduled list --type remind --limit 10",
        "streamq scheduled list --json | jq -r .name",
    ),
)
def list_(
    type: Annotated[
        str | None, Option("--type", "-t", metavar="TYPE", help="Only jobs of this type.")
    ] = None,
    limit: Limit = None,
    json: JsonLines = False,
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """List the jobs that wait for their time, those due first."""

    async def main() -> None:
        from streamq.admin import Admin

        async with connect(url) as server:
            most = limit if limit is not None or json else SHOWN
            found: list[ScheduledJob] = []
            more = False
            async for job in Admin(server).scheduled(stream):
                if type not in (None, job.type):
                    continue
                if most is not None and len(found) == most:
                    more = True
                    break
                found.append(job)
                if json:
                    say_json(exact(job.to_dict(), job.raw))
                    if most is None:
                        found.clear()
            if not json:
                _show_all(found, more=more, stream=stream)

    run(main)


@commands.command(epilog=examples("streamq scheduled show s-5f0e9a3c41d7b268"))
def show(name: Name, json: Json = False, stream: Stream = DEFAULT_STREAM, url: Url = None) -> None:
    """Show all of a job for later. Exit code 1 if it is not waiting."""

    async def main() -> None:
        from streamq.admin import Admin

        async with connect(url) as server:
            job = await Admin(server).scheduled_job(stream, name)
        if json:
            say_json(exact(job.to_dict(), job.raw))
        else:
            say_fields(
                {
                    "name": job.name,
                    "stream": job.stream,
                    "type": job.type or "-",
                    "due": until(job.due_at),
                    "expires": None if job.expires is None else f"{duration(job.expires)} later",
                    "key": job.key,
                    "unique": job.unique,
                    "trace": job.trace,
                    "data": _data(job),
                }
            )

    run(main)


@commands.command(
    epilog=examples(
        "streamq scheduled cancel s-5f0e9a3c41d7b268",
        "streamq scheduled cancel --type remind --yes",
    )
)
def cancel(
    names: Annotated[
        list[str] | None,
        Argument(
            metavar="NAME",
            help="The jobs' names, which produce has printed.",
            complete=from_server("scheduled"),
        ),
    ] = None,
    all: Annotated[bool, Option("--all", help="All that wait.")] = False,
    type: Annotated[
        str | None, Option("--type", "-t", metavar="TYPE", help="All that wait, of this type.")
    ] = None,
    yes: Yes = False,
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """Take jobs for later back before their time comes.

    With --all or --type, you are asked first. Exit code 1 if one of the names is no longer
    waiting.
    """
    if names and (all or type is not None):
        raise ConfigError("give names, or --all and --type; not both")
    if not names and not all and type is None:
        raise ConfigError("say which: names, --all or --type")

    async def main() -> bool:
        from streamq.admin import Admin

        async with connect(url) as server:
            admin = Admin(server)
            if names:
                return await _each(
                    names, stream, "Cancelled", lambda name: admin.cancel_scheduled(stream, name)
                )
            wanted = [job.name async for job in admin.scheduled(stream) if type in (None, job.type)]
            if wanted:
                confirm(f"Cancel {_count(len(wanted))} of {printable(stream)}?", yes=yes)
            done = [await admin.cancel_scheduled(stream, name) for name in wanted]
            say(f"Cancelled {_count(sum(done))}")
            return True

    run_or_refuse(main)


@commands.command("run-now", epilog=examples("streamq scheduled run-now s-5f0e9a3c41d7b268"))
def run_now(names: Names, stream: Stream = DEFAULT_STREAM, url: Url = None) -> None:
    """Let jobs for later be due now. Exit code 1 if one of them is no longer waiting.

    The next worker that looks, in a tenth of a second, writes them to the stream.
    """
    _change(names, stream, url, "Due now:", lambda admin, name: admin.run_now(stream, name))


@commands.command(
    epilog=examples(
        "streamq scheduled reschedule s-5f0e9a3c41d7b268 --delay 2h",
        "streamq scheduled reschedule s-5f0e9a3c41d7b268 --at 2030-01-31T07:00+01:00",
    )
)
def reschedule(
    names: Names,
    delay: Annotated[
        float | None,
        Option("--delay", metavar="TIME", parser=seconds, help="That long from now."),
    ] = None,
    at: Annotated[
        datetime | None,
        Option("--at", metavar="TIME", parser=moment, help="Then: 2030-01-31T07:00+01:00."),
    ] = None,
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """Give jobs for later another time. Exit code 1 if one of them is no longer waiting."""
    if (delay is None) == (at is None):
        raise ConfigError("give the new time with --delay or --at: one of them")
    _change(
        names, stream, url, "Rescheduled",
        lambda admin, name: admin.reschedule(stream, name, delay=delay, at=at),
    )  # fmt: skip


def _change(
    names: Sequence[str], stream: str, url: str | None, done: str,
    change: Callable[[Admin, str], Awaitable[bool]],
) -> None:  # fmt: skip
    async def main() -> bool:
        from streamq.admin import Admin

        async with connect(url) as server:
            admin = Admin(server)
            return await _each(names, stream, done, lambda name: change(admin, name))

    run_or_refuse(main)


async def _each(
    names: Sequence[str], stream: str, done: str, change: Callable[[str], Awaitable[bool]]
) -> bool:
    """Do it to each, tell of each, and return whether all were waiting."""
    complete = True
    for name in names:
        if await change(name):
            say(f"{done} {printable(name, 60)}")
        else:
            complete = False
            complain(
                f"the stream {printable(stream, 100)} has no job {printable(name, 60)} for later: "
                "it is due already, was cancelled, or is on another stream (--stream)"
            )
    return complete


def _show_all(jobs: Sequence[ScheduledJob], *, more: bool, stream: str) -> None:
    now = time.time()
    if jobs:
        say_rows(
            ("NAME", "TYPE", "DUE"),
            ("DATA",),
            [
                Row(
                    (job.name, job.type or "-", _due(job.due_at - now)),
                    (_data(job, PREVIEW if is_terminal() else None),),
                )
                for job in jobs
            ],
        )
        say()
    if not jobs:
        say(f"Nothing is scheduled for {printable(stream)}")
    elif more:
        say(f"{_count(len(jobs))} shown, and there are more (--limit)")
    else:
        say(_count(len(jobs)))


def _due(left: float) -> str:
    return f"in {duration(left)}" if left > 0 else "now"


def _data(job: ScheduledJob, limit: int | None = None) -> str:
    from streamq.admin.content import shown_data

    if job.raw is None and job.ref is None:
        return "(cannot be read)"
    return shown_data(job.raw, job.ref, limit)


def _count(count: int) -> str:
    return f"{count:,} job{'' if count == 1 else 's'} for later"
