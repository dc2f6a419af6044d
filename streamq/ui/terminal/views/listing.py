"""A list with a cursor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from streamq.ui.terminal.line import Line
from streamq.ui.terminal.selection import Selection
from streamq.ui.terminal.table import Column, table

Row = TypeVar("Row")


class Listing(Generic[Row]):
    """Rows under their titles, one of which is meant.

    Args:
        key: what tells a row from all others.
    """

    def __init__(self, key: Callable[[Row], object]) -> None:
        self.rows: Sequence[Row] = ()
        self._key = key
        self._selection = Selection()

    @property
    def selected(self) -> Row | None:
        """The row that is meant."""
        return self.rows[self._selection.index] if self.rows else None

    def renew(self, rows: Sequence[Row]) -> None:
        """Take the rows as they are now."""
        self.rows = rows
        self._selection.renew([self._key(row) for row in rows])

    def press(self, key: str) -> bool:
        """Move the cursor, if that is a key to move with."""
        return self._selection.press(key)

    def lines(
        self, columns: Sequence[Column[Row]], width: int, height: int, end: str, *,
        focused: bool = True, empty: Line | None = None,
    ) -> list[Line]:  # fmt: skip
        """The titles and the rows for which there is room.

        Args:
            end: at the end of what was cut.
            focused: whether keys move this list's cursor.
            empty: stands for the rows where there are none.
        """
        if not self.rows and empty is not None:
            return [empty]
        window = self._selection.window(height - 1)
        shown = table(columns, self.rows, width, end, window)
        lines = [shown.header]
        for index, row in zip(window, shown.rows, strict=True):
            line = row.fitted(width, end)
            chosen = focused and index == self._selection.index
            lines.append(line.styled("reverse") if chosen else line)
        return lines[:height]
