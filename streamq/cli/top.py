"""``streamq top``: streams and groups as they are now, again and again."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Annotated

from streamq.cli.allowed import AppOption, known_by
from streamq.cli.command import Exit, Family, Option
from streamq.cli.connection import connect, run
from streamq.cli.options import (
    Group,
    JsonLines,
    Lease,
    Url,
    among,
    examples,
    from_server,
    one_of,
    seconds_within,
)
from streamq.cli.output import flush, is_terminal, note, say, say_json
from streamq.limits import LEASE
from streamq.text import printable
from streamq.ui.terminal.order import Order

if TYPE_CHECKING:
    from streamq.ui.terminal.feed import Feed


def register(app: Family) -> None:
    """Add the command."""
    app.command(
        "top",
        short_help="Watch streams and groups live: rates, lag, what is stuck.",
        epilog=examples(
            "streamq top",
            "streamq top --sort lag --stream jobs",
            "streamq top --once",
            "streamq top --once --json | jq '.streams[].groups[] | {name, queued}'",
        ),
    )(top)


def top(
    streams: Annotated[
        list[str] | None,
        Option(
            "--stream",
            "-s",
            metavar="NAME",
            help="Only this stream; may be repeated. [default: all]",
            complete=from_server("streams"),
        ),
    ] = None,
    group: Group = None,
    sort: Annotated[
        Order,
        Option(
            "--sort",
            metavar="ORDER",
            parser=one_of(Order),
            help=f"What the groups are sorted by: {', '.join(Order)}. [default: {Order.NAME}]",
            show_default=False,
            complete=among(Order),
        ),
    ] = Order.NAME,
    interval: Annotated[
        float,
        Option(
            "--interval",
            "-i",
            metavar="TIME",
            parser=seconds_within(0.1, 3600, "100ms to 1h"),
            help="From one picture to the next. [default: 1s]",
            show_default=False,
        ),
    ] = 1.0,
    once: Annotated[
        bool, Option("--once", help="Print one picture, with the rates of one interval, and end.")
    ] = False,
    read_only: Annotated[bool, Option("--read-only", help="Let no key change anything.")] = False,
    json: JsonLines = False,
    app: AppOption = None,
    lease: Lease = LEASE,
    url: Url = None,
) -> None:
    """Watch all streams and groups live: rates, lag, what is retrying, held, stalled or dead.

    Keys lead to the jobs of a group, its consumers, dead letters and one job; they retry,
    redrive, pause and resume, and ask before they do. "?" lists them. Without a terminal, and
    with --json, it prints one picture after the other.
    """

    async def main() -> int | None:
        from streamq.admin import Admin
        from streamq.ui.terminal.feed import Feed

        async with connect(url) as server:
            known = known_by(app)
            admin = Admin(server, lease=lease, allowed=known.allowed, codec=known.codec)
            feed = Feed(admin, streams or (), group, interval)
            if once or json or not _can_be_taken_over():
                await _print(feed, sort, once=once, json=json)
                return None
            from streamq.ui.terminal.live import live

            return await live(admin, feed, sort, read_only=read_only, colors=_colors())

    code = run(main)
    if code:
        raise Exit(code)


def _can_be_taken_over() -> bool:
    """Whether there is a terminal on which the cursor can be moved, and a person at it."""
    moves = os.environ.get("TERM", "") not in ("", "dumb", "unknown")
    return moves and is_terminal() and is_terminal(sys.stdin)


async def _print(feed: Feed, sort: Order, *, once: bool, json: bool) -> None:
    """Print pictures one after the other: ``once`` only the first that has rates."""
    from streamq.ui.terminal.frame import frame, plain_data
    from streamq.ui.terminal.marks import marks_for

    marks = marks_for(sys.stdout.encoding)
    styled = is_terminal() and os.environ.get("TERM", "") not in ("", "dumb", "unknown")
    number, lost = 0, False
    async for _ in feed.news():
        if feed.lost is not None:
            if not lost:
                note(f"The server is away: {printable(feed.lost.why)}")
            lost = True
            continue
        if lost:
            note("The server is back")
        lost = False
        number += 1
        if once and number == 1:
            continue
        if json:
            say_json(plain_data(feed, sort))
        else:
            width = shutil.get_terminal_size().columns if is_terminal() else None
            for line in frame(feed, sort, marks, width, sparklines=not once):
                say((line.ansi(colors=_colors()) if styled else line.plain).rstrip())
            if not once:
                say()
        flush()
        if once:
            return


def _colors() -> bool:
    return not os.environ.get("NO_COLOR")
