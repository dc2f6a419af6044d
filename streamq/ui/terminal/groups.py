"""The table of groups: its rows, what is worth a word about each, and their order."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streamq.admin import GroupSnapshot, Snapshot, StreamSnapshot
from streamq.text import duration, printable
from streamq.ui.terminal import figures
from streamq.ui.terminal.line import Line, Part, joined
from streamq.ui.terminal.marks import Marks
from streamq.ui.terminal.order import Order
from streamq.ui.terminal.table import Column
from streamq.ui.terminal.trends import Rates, Trends

WIDE = 110
"""Columns of the screen from which on there is room for longer sparklines."""


@dataclass(frozen=True)
class GroupRow:
    """A group, or a stream that has none."""

    stream: StreamSnapshot
    group: GroupSnapshot | None

    @property
    def key(self) -> tuple[str, str | None]:
        """What tells it from all others."""
        return self.stream.name, None if self.group is None else self.group.name


_NUMBERS: dict[Order, Callable[[GroupSnapshot], float | None]] = {
    Order.LAG: lambda group: group.backlog.queued,
    Order.OLDEST: lambda group: group.backlog.oldest,
    Order.DONE: lambda group: group.settled_rate,
    Order.RUNNING: lambda group: group.backlog.running,
    Order.RETRYING: lambda group: group.backlog.retrying,
    Order.HELD: lambda group: group.backlog.held,
    Order.STALLED: lambda group: group.backlog.stalled,
    Order.DEAD: lambda group: group.backlog.dead_letters,
}


def rows_of(picture: Snapshot, order: Order, wanted: str = "") -> list[GroupRow]:
    """The rows of a picture, in order.

    Args:
        wanted: only those with this in the name of the stream or the group.
    """
    rows = []
    for stream in picture.streams:
        groups: Sequence[GroupSnapshot | None] = stream.groups or (None,)
        rows += [GroupRow(stream, group) for group in groups]
    if wanted:
        rows = [row for row in rows if wanted.lower() in _names(row).lower()]
    rows.sort(key=lambda row: (row.stream.name, (row.group is not None and row.group.name) or ""))
    number = _NUMBERS.get(order)
    if number is not None:
        rows.sort(key=lambda row: -((row.group and number(row.group)) or 0))
    return rows


def _names(row: GroupRow) -> str:
    return f"{row.stream.name} {'' if row.group is None else row.group.name}"


def columns(
    trends: Trends | None, marks: Marks, order: Order, width: int | None, *, several_streams: bool
) -> Sequence[Column[GroupRow]]:
    """The columns of the table.

    Args:
        trends: the rates before; ``None`` leaves their column out.
        width: of the screen; ``None`` for as wide as it takes.
        several_streams: whether the rows have to say which one they are of.
    """

    bars = 8 if width is not None and width < WIDE else 16

    def trend(row: GroupRow) -> Part:
        rates: Rates = ()
        if trends is not None and row.group is not None:
            rates = trends.settled(row.stream.name, row.group.name)
        return marks.sparkline(rates, bars), "cyan"

    def of(
        title: str, own: Order, cell: Callable[[GroupRow], Part], rank: int = 0
    ) -> Column[GroupRow]:
        return Column(title, cell, rank=rank, sorted=own is order)

    stream = Column[GroupRow](
        "STREAM", lambda row: (printable(row.stream.name), ""), 8, grows=True, most=30, right=False
    )
    return [
        Column("", _flag, 1, right=False),
        *([stream] if several_streams else []),
        Column("GROUP", _name, 8, grows=True, most=40, right=False),
        Column("IN/S", lambda row: _rate(row.stream.added_rate), rank=4),
        of("DONE/S", Order.DONE, _of(lambda group: _rate(group.settled_rate)), rank=1),
        *([] if trends is None else [Column("TREND", trend, bars, right=False, rank=6)]),
        of("LAG", Order.LAG, _lag),
        of("RUN", Order.RUNNING, _number(Order.RUNNING, "green")),
        of("RETRY", Order.RETRYING, _number(Order.RETRYING, "yellow"), rank=2),
        of("HELD", Order.HELD, _number(Order.HELD, ""), rank=3),
        of("STALL", Order.STALLED, _number(Order.STALLED, "red"), rank=2),
        of("DEAD", Order.DEAD, _number(Order.DEAD, "red")),
        of("OLDEST", Order.OLDEST, _of(_oldest), rank=1),
        Column("ALIVE", _of(_alive), 5, rank=2),
        Column("", lambda row: (", ".join(text for text, _ in remarks(row)), "yellow"), 18,
               grows=True, right=False, rank=7),
    ]  # fmt: skip


def remarks(row: GroupRow) -> list[Part]:
    """What is worth a word: why a group does not do what it should."""
    if row.group is not None:
        return remarks_of(row.group)
    return [("no group reads it", "yellow")] if row.stream.length else []


def remarks_of(group: GroupSnapshot) -> list[Part]:
    """The same of a group; what is red keeps its jobs from being done."""
    backlog = group.backlog
    said: list[Part] = []
    if backlog.paused_since is not None:
        span = duration(max(time.time() - backlog.paused_since, 0))
        said.append((f"paused for {span}", "yellow"))
    for type in backlog.paused_types:
        said.append((f"type {printable(type, 60)} paused", "yellow"))
    if not backlog.consumers and (backlog.queued or backlog.pending):
        said.append(("no consumer alive", "red"))
    if backlog.gone:
        gone = "consumer" if backlog.gone == 1 else "consumers"
        said.append((f"{backlog.gone:,} {gone} gone", "yellow"))
    return said


def detail(row: GroupRow, marks: Marks) -> Line:
    """One row in exact numbers and words."""
    between: Part = (f" {marks.dot} ", "dim")
    if row.group is None:
        entries = "entry" if row.stream.length == 1 else "entries"
        facts = [f"{row.stream.length:,} {entries}"]
    else:
        backlog = row.group.backlog
        facts = [f"{backlog.queued:,} queued", f"{backlog.pending:,} pending"]
        if backlog.dead_letters is not None:
            facts.append(f"{backlog.dead_letters:,} dead")
        if backlog.oldest:
            facts.append(f"oldest {duration(backlog.oldest)}")
    name = printable(row.stream.name if row.group is None else row.group.name, 40)
    lines = [Line((name, "bold")), *(Line(fact) for fact in facts), *map(Line, remarks(row))]
    return joined(lines, between)


def _flag(row: GroupRow) -> Part:
    """In one column, readable without colour."""
    found = remarks(row)
    if row.group is not None and row.group.backlog.paused_since is not None:
        return "P", "yellow"
    if any(style == "red" for _, style in found) or (row.group and row.group.backlog.stalled):
        return "!", "bold red"
    return ("?", "yellow") if found and row.group is None else ("", "")


def _name(row: GroupRow) -> Part:
    return (figures.UNKNOWN, "dim") if row.group is None else (printable(row.group.name), "bold")


def _of(cell: Callable[[GroupSnapshot], Part]) -> Callable[[GroupRow], Part]:
    """A cell of a group; a stream without one has none."""
    return lambda row: (figures.UNKNOWN, "dim") if row.group is None else cell(row.group)


def _number(order: Order, style: str) -> Callable[[GroupRow], Part]:
    number = _NUMBERS[order]

    def cell(group: GroupSnapshot) -> Part:
        found = number(group)
        return figures.count(found), style if found else "dim"

    return _of(cell)


def _lag(row: GroupRow) -> Part:
    """A stream that no group reads lags as a whole."""
    lag = row.stream.length if row.group is None else row.group.backlog.queued
    return figures.count(lag), "" if lag else "dim"


def _rate(rate: float | None) -> Part:
    return figures.rate(rate), "" if rate else "dim"


def _oldest(group: GroupSnapshot) -> Part:
    oldest = group.backlog.oldest
    return (figures.age(oldest), "") if oldest else (figures.UNKNOWN, "dim")


def _alive(group: GroupSnapshot) -> Part:
    alive = group.backlog.consumers
    if alive:
        return figures.count(alive), ""
    return "0", "red" if group.backlog.queued or group.backlog.pending else "dim"
