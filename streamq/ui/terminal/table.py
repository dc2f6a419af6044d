"""Tables that fit the width there is: columns shrink, and the least wanted are left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from streamq.ui.terminal.line import Line, Part, cells, cut

Row = TypeVar("Row")

WIDE_GAP = 2


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One column.

    Attributes:
        cell: its text and style, given the row.
        least: the columns of the screen that it needs; its title's if that is wider.
        grows: whether it takes as many more as its cells have, where there is room.
        most: not more than this.
        right: numbers stand on the right.
        rank: those with the highest are left out first; those with 0 never are.
        sorted: whether the rows are in its order, which its title shows.
    """

    title: str
    cell: Callable[[Row], Part]
    least: int = 4
    grows: bool = False
    most: int = 1000
    right: bool = True
    rank: int = 0
    sorted: bool = False

    @property
    def needed(self) -> int:
        """The width without which it is left out."""
        return max(self.least, len(self.title))

    def wanted(self, rows: Sequence[Row]) -> int:
        """The width with which none of its cells is cut, unless that is too much."""
        if not self.grows:
            return self.needed
        widest = max((cells(self.cell(row)[0]) for row in rows), default=0)
        return max(self.needed, min(widest, self.most))


class Layout(NamedTuple):
    """Which columns are shown, how wide, and the gap between two."""

    columns: Sequence[int]
    widths: Sequence[int]
    gap: int


class Table(NamedTuple):
    """The lines of a table."""

    header: Line
    rows: Sequence[Line]


def table(
    columns: Sequence[Column[Row]],
    rows: Sequence[Row],
    width: int | None,
    end: str = "…",
    window: range | None = None,
) -> Table:
    """The lines of a table.

    Args:
        width: of the screen; ``None`` for as wide as it takes.
        end: at the end of what was cut.
        window: the places of the rows that are wanted; the columns are as wide as all rows make
            them, so that they stay where they are when the list is scrolled.
    """
    layout = fit(columns, rows, width)
    shown = [columns[index] for index in layout.columns]
    titles = [(column.title, "reverse" if column.sorted else "bold") for column in shown]
    wanted = rows if window is None else rows[window.start : window.stop]
    return Table(
        _line(shown, titles, layout, end),
        [_line(shown, [column.cell(row) for column in shown], layout, end) for row in wanted],
    )


def fit(columns: Sequence[Column[Row]], rows: Sequence[Row], width: int | None) -> Layout:
    """How columns share a width."""
    kept = list(range(len(columns)))

    def needs(gap: int) -> int:
        return sum(columns[index].needed for index in kept) + gap * (len(kept) - 1)

    if width is not None:
        while needs(1) > width:
            last = max(kept, key=lambda index: (columns[index].rank, index))
            if columns[last].rank == 0:
                break
            kept.remove(last)
    wanted = {index: columns[index].wanted(rows) for index in kept}
    comfortable = sum(wanted.values()) + WIDE_GAP * (len(kept) - 1)
    if width is None or comfortable <= width:
        return Layout(kept, [wanted[index] for index in kept], WIDE_GAP)
    widths = {index: columns[index].needed for index in kept}
    spare = width - needs(1)
    while needy := [index for index in kept if widths[index] < wanted[index]][: max(spare, 0)]:
        for index in needy:
            widths[index] += 1
        spare -= len(needy)
    return Layout(kept, [widths[index] for index in kept], 1)


def _line(columns: Sequence[Column[Row]], parts: Sequence[Part], layout: Layout, end: str) -> Line:
    line = Line()
    for index, (column, width, (text, style)) in enumerate(
        zip(columns, layout.widths, parts, strict=True)
    ):
        if index:
            line.add(" " * layout.gap)
        shown = cut(text, width, end)
        space = " " * (width - cells(shown))
        if column.right:
            line.add(space).add(shown, style)
        else:
            line.add(shown, style).add(space)
    return line
