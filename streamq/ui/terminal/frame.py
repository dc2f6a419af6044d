"""One picture as text: for ``--once``, for pipes, and for terminals that can do no more."""

from __future__ import annotations

from typing import Any

from streamq.ui.terminal.feed import Feed
from streamq.ui.terminal.groups import columns, rows_of
from streamq.ui.terminal.header import header
from streamq.ui.terminal.line import Line
from streamq.ui.terminal.marks import Marks
from streamq.ui.terminal.order import Order
from streamq.ui.terminal.table import table


def frame(
    feed: Feed, order: Order, marks: Marks, width: int | None, *, sparklines: bool
) -> list[Line]:
    """The lines of the last picture, all groups in it.

    Args:
        width: of the terminal; ``None`` for as wide as it takes.
        sparklines: whether the rates before are shown, too.
    """
    assert feed.picture is not None
    top = header(feed, marks, width, sparklines=sparklines)
    rows = rows_of(feed.picture, order)
    if not rows:
        return [*top, Line(feed.nothing)]
    trends = feed.trends if sparklines else None
    several = len({row.stream.name for row in rows}) > 1
    shown = table(
        columns(trends, marks, order, width, several_streams=several), rows, width, marks.end
    )
    return [*top, shown.header, *shown.rows]


def plain_data(feed: Feed, order: Order) -> dict[str, Any]:
    """The same as plain data: the streams as they are, their groups in order."""
    assert feed.picture is not None
    plain = feed.picture.to_dict()
    places = {row.key: place for place, row in enumerate(rows_of(feed.picture, order))}
    for stream in plain["streams"]:
        stream["groups"].sort(key=lambda group: places[group["stream"], group["name"]])
    return plain
