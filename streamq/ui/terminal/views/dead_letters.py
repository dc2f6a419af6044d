"""The dead letters of a group: one by one, or by the error that made them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

from streamq.admin import DeadLetter, Page
from streamq.errors import StreamqError
from streamq.text import printable
from streamq.ui.terminal import figures
from streamq.ui.terminal.line import Line, joined
from streamq.ui.terminal.table import Column
from streamq.ui.terminal.views.causes import CausesView, letters_title
from streamq.ui.terminal.views.job import JobView
from streamq.ui.terminal.views.listing import Listing
from streamq.ui.terminal.views.redriving import Redriving
from streamq.ui.terminal.views.view import LOOKING, Desk, Key, View

MOST = 100
"""Dead letters that are listed: the newest."""


class DeadLettersView(View):
    """The newest first."""

    keys: ClassVar[Sequence[Key]] = (
        Key(("enter",), "job", "Enter"),
        Key(("r",), "redrive", changes=True),
        Key(("R",), "redrive all", changes=True),
        Key(("e",), "by error"),
        Key(("/",), "filter"),
    )

    def __init__(self, desk: Desk, stream: str, group: str, cause: str | None = None) -> None:
        super().__init__(desk)
        self._stream, self._group, self._cause = stream, group, cause
        self._letters = desk.admin.dead_letters(stream, group)
        self._redriving = Redriving(desk, stream, group)
        self._count = 0
        self._page: Page[DeadLetter] | None = None
        self._error: StreamqError | None = None
        self._wanted = ""
        self._list = Listing[DeadLetter](lambda letter: letter.id)

    async def look(self) -> None:
        """How many there are, and the newest."""
        try:
            self._count = await self._letters.count()
            self._page = await self._letters.page(cause=self._cause, limit=MOST)
        except StreamqError as error:
            self._error = error
        else:
            self._error = None

    def body(self, width: int, height: int) -> Sequence[Line]:
        """The list."""
        lines = [letters_title(self._stream, self._group, self._count, self._cause)]
        if self._error is not None:
            lines.append(Line((printable(self._error), "red")))
        if self._page is None:
            return lines if self._error is not None else [*lines, Line(), LOOKING]
        self._list.renew([letter for letter in self._page.items if self._has(letter)])
        shown = self._list.lines(
            LETTERS, width, height - len(lines) - 1, self.desk.marks.end,
            empty=Line((f"No dead letter{' matches' if self._wanted else ''}", "dim")),
        )  # fmt: skip
        return [*lines, Line(), *shown]

    def note(self) -> Line:
        """The error of the one that is meant."""
        letter = self._list.selected
        if letter is None:
            return Line()
        facts = [Line((letter.job_id, "bold")), Line((printable(letter.error), "red"))]
        if self._page is not None and self._page.following is not None:
            listed = f"the newest {len(self._page.items):,} are listed"
            facts.insert(0, Line((listed, "dim")))
        return joined(facts, (f" {self.desk.marks.dot} ", "dim"))

    def press(self, key: str) -> None:
        """Move, open, redrive."""
        if self._list.press(key):
            return
        letter = self._list.selected
        if key == "e":
            self.desk.open(CausesView(self.desk, self._stream, self._group, self._only))
        elif key == "/":
            self.desk.ask("Filter: ", self._wanted, self._filter)
        elif letter is not None and key in ("enter", "right"):
            self.desk.open(JobView(self.desk, self._stream, letter.job_id))
        elif letter is not None and key == "r":
            self._redriving.some([letter])
        elif letter is not None and key == "R" and self._wanted:
            self._redriving.some(self._list.rows)
        elif letter is not None and key == "R":
            self._redriving.all(self._cause)

    def _only(self, cause: str) -> View:
        return DeadLettersView(self.desk, self._stream, self._group, cause)

    def leave(self, key: str) -> bool:
        """Esc shows all again, and leads back then."""
        if key != "esc" or not self._wanted:
            return False
        self._wanted = ""
        return True

    def _filter(self, wanted: str) -> None:
        self._wanted = wanted

    def _has(self, letter: DeadLetter) -> bool:
        text = f"{letter.job_id} {letter.type} {letter.reason} {letter.error}"
        return self._wanted.lower() in text.lower()


LETTERS: Sequence[Column[DeadLetter]] = (
    Column("JOB", lambda letter: (letter.job_id, "bold"), 16, grows=True, most=40, right=False),
    Column("TYPE", lambda letter: (printable(letter.type or "-"), ""), 8, grows=True, most=30,
           right=False),
    Column("DEAD", lambda letter: (figures.age(max(time.time() - letter.dead_since, 0)), ""), 5),
    Column("ATTEMPTS", lambda letter: (str(letter.attempts), ""), rank=1),
    Column("REASON", lambda letter: (printable(letter.reason), ""), 10, grows=True, most=30,
           right=False, rank=2),
    Column("ERROR", lambda letter: (printable(letter.error), "red"), 36, grows=True, right=False),
)  # fmt: skip
