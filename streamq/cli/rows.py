"""Rows of which some columns are long: errors and data.

Piped, every row is one line and whole. On a terminal too narrow for that, the long
columns stand below their row, and nothing else is cut either.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

from streamq.cli.output import console, is_terminal, say
from streamq.text import printable

INDENT = 4
LINES = 3
"""The most lines that a long column takes below its row."""


class Row(NamedTuple):
    """The cells of one row; ``None`` is empty."""

    short: Sequence[object]
    long: Sequence[object]


def say_rows(
    short: Sequence[str], long: Sequence[str], rows: Sequence[Row], *, right: Sequence[str] = ()
) -> None:
    """Print rows under their titles; control characters in them are escaped.

    Args:
        short: the titles of the columns that stand side by side.
        long: the titles of those that need not.
        right: titles of columns with numbers.
    """
    table = [[_cell(cell) for cell in (*row.short, *row.long)] for row in rows]
    titles = [*short, *long]
    widths = [max(map(_width, column)) for column in zip(titles, *table, strict=True)]
    numbers = [title in right for title in titles]
    screen = shutil.get_terminal_size().columns
    if not is_terminal() or sum(widths) + 2 * (len(widths) - 1) <= screen:
        _say_header(_line(titles, widths, numbers))
        for cells in table:
            say(_line(cells, widths, numbers))
        return
    count = len(short)
    _say_header(_line(titles[:count], widths, numbers))
    label = max(map(len, long), default=0)
    for cells in table:
        say(_line(cells[:count], widths, numbers))
        for title, text in zip(long, cells[count:], strict=True):
            if text:
                _say_below(f"{title.lower():<{label}}  ", text, screen)


def say_table(
    titles: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = ()
) -> None:
    """Print rows of which no column is long; see :func:`say_rows`."""
    say_rows(titles, (), [Row(row, ()) for row in rows], right=right)


def _say_header(line: str) -> None:
    if is_terminal():
        from rich.text import Text

        console().print(Text(line, style="bold"), soft_wrap=True)
    else:
        say(line)


def _say_below(label: str, text: str, screen: int) -> None:
    first = " " * INDENT + label
    lines = textwrap.wrap(
        text, max(screen, len(first) + 20), initial_indent=first,
        subsequent_indent=" " * len(first), max_lines=LINES, placeholder=" …",
    )  # fmt: skip
    for line in lines:
        say(line)


def _line(cells: Sequence[str], widths: Sequence[int], numbers: Sequence[bool]) -> str:
    padded = []
    for cell, width, number in zip(cells, widths, numbers, strict=False):
        space = " " * (width - _width(cell))
        padded.append(space + cell if number else cell + space)
    return "  ".join(padded).rstrip()


def _cell(value: object) -> str:
    return "" if value is None else printable(value)


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
