"""The dead letters of a group by the error that made them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import ClassVar

from streamq.admin import Cause, Causes
from streamq.errors import StreamqError
from streamq.text import printable
from streamq.ui.terminal import figures
from streamq.ui.terminal.line import Line
from streamq.ui.terminal.table import Column
from streamq.ui.terminal.views.listing import Listing
from streamq.ui.terminal.views.redriving import Redriving
from streamq.ui.terminal.views.view import LOOKING, Desk, Key, View


class CausesView(View):
    """The most frequent first.

    Args:
        letters: the view of the dead letters with one cause.
    """

    keys: ClassVar[Sequence[Key]] = (
        Key(("enter",), "dead letters", "Enter"),
        Key(("R",), "redrive all of this error", changes=True),
    )

    def __init__(self, desk: Desk, stream: str, group: str, letters: Callable[[str], View]) -> None:
        super().__init__(desk)
        self._stream, self._group, self._open = stream, group, letters
        self._letters = desk.admin.dead_letters(stream, group)
        self._redriving = Redriving(desk, stream, group)
        self._count = 0
        self._causes: Causes | None = None
        self._error: StreamqError | None = None
        self._list = Listing[Cause](lambda cause: cause.name)

    async def look(self) -> None:
        """Count them; again only when there are more or fewer, since it reads them all."""
        try:
            count = await self._letters.count()
            if self._causes is None or count != self._count:
                self._causes = await self._letters.causes()
            self._count = count
        except StreamqError as error:
            self._error = error
        else:
            self._error = None

    def body(self, width: int, height: int) -> Sequence[Line]:
        """The list."""
        lines = [letters_title(self._stream, self._group, self._count, None)]
        if self._error is not None:
            lines.append(Line((printable(self._error), "red")))
        if self._causes is None:
            return lines if self._error is not None else [*lines, Line(), LOOKING]
        self._list.renew(self._causes.found)
        shown = self._list.lines(
            CAUSES, width, height - len(lines) - 1, self.desk.marks.end,
            empty=Line(("No dead letter", "dim")),
        )  # fmt: skip
        return [*lines, Line(), *shown]

    def note(self) -> Line:
        """The last error of this cause."""
        cause = self._list.selected
        if cause is None:
            return Line()
        line = Line((printable(cause.latest.error), "red"))
        if self._causes is not None and not self._causes.complete:
            line.add(f" (of the newest {self._causes.looked_at:,})", "dim")
        return line

    def press(self, key: str) -> None:
        """Move, open, redrive."""
        if self._list.press(key):
            return
        cause = self._list.selected
        if cause is not None and key in ("enter", "right"):
            self.desk.open(self._open(cause.name))
        elif cause is not None and key == "R":
            self._redriving.all(cause.name)


def letters_title(stream: str, group: str, count: int, cause: str | None) -> Line:
    """What the letters are of, and how many there are."""
    letters = "dead letter" if count == 1 else "dead letters"
    line = Line(
        printable(stream, 40), (" / ", "dim"), (printable(group, 60), "bold"),
        f"  {count:,} {letters}",
    )  # fmt: skip
    return line if cause is None else line.add(f", those with {printable(cause, 100)}", "yellow")


def _types(cause: Cause) -> str:
    return ", ".join(printable(type or "-", 40) for type in cause.types)


CAUSES: Sequence[Column[Cause]] = (
    Column("COUNT", lambda cause: (f"{cause.count:,}", "bold"), 7),
    Column("ERROR", lambda cause: (printable(cause.name), "red"), 20, grows=True, right=False),
    Column("SINCE", lambda cause: (figures.age(max(time.time() - cause.since, 0)), ""), 5),
    Column("LAST", lambda cause: (figures.age(max(time.time() - cause.latest.dead_since, 0)), ""),
           5),
    Column("TYPES", lambda cause: (_types(cause), ""), 8, grows=True, right=False, rank=1),
)  # fmt: skip
