"""``streamq tail``: jobs and what becomes of them, as it happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

from streamq.cli.allowed import AppOption, known_by
from streamq.cli.command import Exit, Family, Option
from streamq.cli.connection import connect, run
from streamq.cli.exits import ExitCode
from streamq.cli.options import (
    Group,
    JsonLines,
    Stream,
    Url,
    among,
    examples,
    one_of,
)
from streamq.cli.output import flush, note, say_json
from streamq.cli.signals import interruptible, until_nobody_reads
from streamq.cli.tail_printing import Lines
from streamq.limits import DEFAULT_STREAM
from streamq.text import printable

if TYPE_CHECKING:
    from streamq.admin import Followed

WAITING = "Waiting for the server"


class State(StrEnum):
    """What can become of a job."""

    QUEUED = "queued"
    SUCCEEDED = "succeeded"
    RETRYING = "retrying"
    DEAD = "dead"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    SKIPPED = "skipped"
    RELEASED = "released"
    RECLAIMED = "reclaimed"


def register(app: Family) -> None:
    """Add the command."""
    app.command(
        "tail",
        epilog=examples(
            "streamq tail",
            "streamq tail --group images --state retrying --state dead",
            "streamq tail --type 'thumbnail_*' --json | jq -r 'select(.seconds > 1).id'",
        ),
    )(tail)


def tail(
    group: Group = None,
    type: Annotated[
        list[str] | None,
        Option(
            "--type", "-t", metavar="TYPE",
            help="Only jobs of this type, or of types like thumbnail_*; may be repeated.",
        ),
    ] = None,
    state: Annotated[
        list[State] | None,
        Option(
            "--state", metavar="STATE", parser=one_of(State), complete=among(State),
            help="Only what becomes queued, succeeded, retrying, dead, cancelled, expired, "
            "skipped, released or reclaimed; may be repeated.",
        ),
    ] = None,
    json: JsonLines = False,
    app: AppOption = None,
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:  # fmt: skip
    """Follow jobs and what becomes of them as it happens, until Ctrl-C.

    Each job that is written to the stream is a line, and so is the end of each attempt at one, in
    every group or in one. No group is touched. What happened before is not shown: see "streamq
    pending" and "streamq dlq list". A server that is lost is waited for. Of a stream that is
    quicker than the terminal some lines are left out, and it is said how many.
    """

    async def main() -> None:
        from streamq.admin import Admin

        async with connect(url) as server:
            admin = Admin(server, codec=known_by(app).codec)
            lines, again = Lines(), False
            events = admin.follow(stream, group, types=type or (), states=state or ())
            async for event in events:
                if event.is_notice:
                    _notify(event, again=again)
                    again = True
                elif json:
                    say_json(event.to_dict())
                else:
                    lines.say(event)
                flush()

    run(lambda: _until_stopped(main))


async def _until_stopped(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    task = asyncio.ensure_future(main())
    codes: list[ExitCode] = []

    def stop(code: ExitCode) -> None:
        codes.append(code)
        task.cancel()

    with interruptible(stop, WAITING), until_nobody_reads(stop):
        try:
            await task
        except asyncio.CancelledError:
            if not codes:
                raise
            raise Exit(codes[0]) from None


def _notify(event: Followed, *, again: bool) -> None:
    stream = printable(event.stream, 100)
    match event.state:
        case "following":
            gap = ", what became of jobs meanwhile is not known" if again else ""
            note(f"Following {stream}{gap}")
        case "lost":
            note(f"{printable(event.error)}, waiting for the server to come back")
        case "missed":
            note(f"Left out {event.missed:,} lines: {stream} was quicker than its reader")
