"""``streamq cron create`` and ``update``: what they ask for, and what they do."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

from streamq.cli.command import Argument, Family, Option
from streamq.cli.connection import connect, run
from streamq.cli.cron.printing import time
from streamq.cli.options import (
    Stream,
    Url,
    among,
    at_least,
    examples,
    from_server,
    one_of,
    seconds,
)
from streamq.cli.output import say
from streamq.errors import ConfigError
from streamq.limits import DEFAULT_STREAM, MAX_MISSED, MISSED
from streamq.text import printable

if TYPE_CHECKING:
    from streamq.admin import ScheduleInfo
    from streamq.admin.cron import ScheduleChanges


class Missed(StrEnum):
    """What becomes of ticks at which no worker was there."""

    SKIP = "skip"
    LATEST = "latest"
    ALL = "all"


class Overlap(StrEnum):
    """Whether a job is written while the last one is not settled."""

    ALLOW = "allow"
    SKIP = "skip"


NewName = Annotated[str, Argument(metavar="NAME", help="The schedule's name.")]
Name = Annotated[
    str,
    Argument(metavar="NAME", help="The schedule's name.", complete=from_server("schedules")),
]
Expression = Annotated[
    str | None,
    Argument(
        metavar="EXPRESSION",
        help="Minute, hour, day of month, month and day of week, in quotes: '0 7 * * MON'.",
    ),
]
Every = Annotated[
    float | None,
    Option("--every", metavar="TIME", parser=seconds, help="An interval in its place."),
]
Zone = Annotated[
    str | None,
    Option("--tz", metavar="ZONE", help="The time zone of the expression. [default: UTC]"),
]
Type = Annotated[
    str | None,
    Option("--type", "-t", metavar="TYPE", help="The type of its jobs. [default: NAME]"),
]
Data = Annotated[
    str | None, Option("--data", "-d", metavar="JSON", help="Their data, a JSON object.")
]
Group = Annotated[
    str | None,
    Option(
        "--group", "-g", metavar="NAME", complete=from_server("groups"),
        help="The one group that they are for. [default: every group]",
    ),
]  # fmt: skip
Key = Annotated[str | None, Option("--key", metavar="KEY", help="Their order key.")]
Expires = Annotated[
    float | None,
    Option(
        "--expires", metavar="TIME", parser=seconds, help="Run each within that time, or never."
    ),
]
WhichMissed = Option(
    "--missed", metavar="WHICH", parser=one_of(Missed), complete=among(Missed),
    help="Which ticks are made up for when no worker was there: skip, latest or all.",
)  # fmt: skip
Most = Option(
    "--most", metavar="N", parser=at_least(1, MAX_MISSED), help="How many at most, of all."
)
WhetherOverlap = Option(
    "--overlap", metavar="WHETHER", parser=one_of(Overlap), complete=among(Overlap),
    help="Whether a job is written while the last one is not settled: allow or skip.",
)  # fmt: skip


def register(commands: Family) -> None:
    """Add the commands."""
    commands.command(
        "create",
        epilog=examples(
            "streamq cron create report '0 7 * * MON' --tz Europe/Berlin",
            'streamq cron create sweep --every 5m --type sweep --data \'{"dir": "/tmp"}\'',
        ),
    )(create)
    commands.command(
        "update",
        epilog=examples(
            "streamq cron update report '0 6 * * MON'",
            'streamq cron update sweep --every 10m --data \'{"dir": "/var/tmp"}\'',
        ),
    )(update)


def create(
    name: NewName,
    expression: Expression = None,
    every: Every = None,
    tz: Zone = None,
    type: Type = None,
    data: Data = None,
    group: Group = None,
    key: Key = None,
    expires: Expires = None,
    missed: Annotated[Missed, WhichMissed] = Missed.LATEST,
    most: Annotated[int, Most] = MISSED,
    overlap: Annotated[Overlap, WhetherOverlap] = Overlap.ALLOW,
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

        values = _values(data)
        if expression is None and every is None:
            raise ConfigError("give an EXPRESSION such as '0 7 * * MON', or --every TIME")
        async with connect(url) as server:
            made = await Admin(server).schedules.create(
                stream, name, name if type is None else type, values, cron=expression, every=every,
                tz=tz, group=group, key=key, expires=expires, missed=missed.value, most=most,
                overlap=overlap.value, paused=paused,
            )  # fmt: skip
        say(f"Created the schedule {name} on {printable(stream)}; {_next(made)}")

    run(main)


def update(
    name: Name,
    expression: Expression = None,
    every: Every = None,
    tz: Zone = None,
    type: Type = None,
    data: Data = None,
    group: Group = None,
    key: Key = None,
    expires: Expires = None,
    missed: Annotated[Missed | None, WhichMissed] = None,
    most: Annotated[int | None, Most] = None,
    overlap: Annotated[Overlap | None, WhetherOverlap] = None,
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """Change a schedule; what is not named stays as it is. Exit code 1 if there is none.

    With another expression or interval it ticks from now on, not for the past. One that stands in
    the code of workers is changed there.
    """

    async def main() -> None:
        from streamq.admin import Admin

        named = {
            "cron": expression, "every": every, "tz": tz, "type": type, "data": _values(data),
            "group": group, "key": key, "expires": expires, "most": most,
            "missed": None if missed is None else missed.value,
            "overlap": None if overlap is None else overlap.value,
        }  # fmt: skip
        changes: ScheduleChanges = {k: v for k, v in named.items() if v is not None}  # type: ignore[assignment]  # names and types are those of the options above
        if not changes:
            raise ConfigError("name what is to change, such as --every TIME; see --help")
        async with connect(url) as server:
            made = await Admin(server).schedules.update(stream, name, **changes)
        say(f"Changed the schedule {printable(name)} of {printable(stream)}; {_next(made)}")

    run(main)


def _values(data: str | None) -> Mapping[str, Any] | None:
    from streamq.cli.produce.jobs import from_data

    return None if data is None else from_data(data, "")[1]


def _next(made: ScheduleInfo) -> str:
    return "it is paused" if made.next_tick is None else f"next: {time(made, made.next_tick)}"
