"""The lines above a view: the server, all streams together, and whether it answers."""

from __future__ import annotations

import time

from streamq.admin import Snapshot
from streamq.text import duration, printable, size
from streamq.ui.terminal import figures
from streamq.ui.terminal.feed import Feed
from streamq.ui.terminal.groups import WIDE
from streamq.ui.terminal.line import Line, Part, cells, joined
from streamq.ui.terminal.marks import Marks
from streamq.ui.terminal.trends import rates_of

LATE = 3
"""Intervals without a picture after which that is told."""


def header(feed: Feed, marks: Marks, width: int | None, *, sparklines: bool = True) -> list[Line]:
    """The server, and all streams together; the last line is about a server that is away.

    Args:
        width: of the screen; ``None`` for as wide as it takes.
    """
    picture = feed.picture
    if picture is None:
        return [Line(("streamq top", "bold")), Line("Looking for streams and groups"), Line()]
    return [
        _server_line(picture, feed, marks, width),
        _totals(picture, feed, marks, width, sparklines),
        trouble(feed),
    ]


def _server_line(picture: Snapshot, feed: Feed, marks: Marks, width: int | None) -> Line:
    server = picture.server
    limit = f" of {size(server.maxmemory)}" if server.maxmemory else ""
    between: Part = (f" {marks.dot} ", "dim")
    left = joined(
        [
            Line(("streamq top", "bold")),
            Line(printable(picture.where)),
            Line(f"{server.name.capitalize()} {printable(server.version)}"),
            Line(f"{size(server.used_memory)}{limit}"),
        ],
        between,
    )
    clock = time.strftime("%H:%M:%S", time.localtime(feed.taken_at))
    if width is None:
        return left.add("  ").add(clock, "bold")
    room = width - cells(clock) - 1
    return left.fitted(room, marks.end).add(" ").add(clock, "bold")


def _totals(
    picture: Snapshot, feed: Feed, marks: Marks, width: int | None, sparklines: bool
) -> Line:
    groups = picture.groups
    bars = 8 if width is not None and width < WIDE else 20
    rates = rates_of(picture)
    oldest = max((group.backlog.oldest for group in groups), default=0.0)
    lag = sum(group.backlog.queued for group in groups)
    dead = sum(group.backlog.dead_letters or 0 for group in groups)

    def trend(name: str, said: str) -> Line:
        line = Line((said, "dim"), f" {figures.rate(rates[name]):>4}/s")
        if sparklines:
            line.add(" ").add(marks.sparkline(feed.trends.whole(name), bars), "cyan")
        return line

    line = joined(
        [
            trend("added", "in"),
            trend("settled", "done"),
            Line(("lag", "dim"), f" {figures.count(lag):>4}"),
            Line(("dead", "dim"), (f" {figures.count(dead):>4}", "red" if dead else "")),
            Line(("oldest", "dim"), f" {figures.age(oldest) if oldest else figures.UNKNOWN:>5}"),
        ],
        ("  ", ""),
    )
    counts = f"  {_counted(len(picture.streams), 'stream')}, {_counted(len(groups), 'group')}"
    return line.add(counts) if width is None or line.width + len(counts) <= width else line


def trouble(feed: Feed) -> Line:
    """What is wrong with the picture; an empty line where nothing is."""
    if feed.lost is not None:
        since = time.strftime("%H:%M:%S", time.localtime(feed.lost.since))
        return Line(
            (f" server unavailable since {since} ", "bold reverse red"),
            f" {printable(feed.lost.why)}",
        )
    late = time.time() - feed.taken_at
    if feed.picture is not None and late > max(LATE * feed.interval, 2.0):
        return Line((f"the server has not answered for {duration(late)}", "yellow"))
    if feed.picture is not None and feed.picture.forbidden:
        names = ", ".join(printable(name, 40) for name in feed.picture.forbidden)
        return Line((f"the user's ACL denies access to other streams: {names}", "yellow"))
    return Line()


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
