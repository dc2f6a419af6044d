"""All groups of all streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from streamq.text import printable
from streamq.ui.terminal.groups import GroupRow, columns, detail, rows_of
from streamq.ui.terminal.line import Line
from streamq.ui.terminal.order import Order
from streamq.ui.terminal.views.dead_letters import DeadLettersView
from streamq.ui.terminal.views.group import GroupView
from streamq.ui.terminal.views.listing import Listing
from streamq.ui.terminal.views.pausing import pause_or_resume
from streamq.ui.terminal.views.view import Desk, Key, View


class Overview(View):
    """The first view, a row a group."""

    keys: ClassVar[Sequence[Key]] = (
        Key(("enter",), "open", "Enter"),
        Key(("d",), "dead letters"),
        Key(("p",), "pause/resume", changes=True),
        Key(("s", "S"), "sort"),
        Key(("/",), "filter"),
    )

    def __init__(self, desk: Desk, order: Order) -> None:
        super().__init__(desk)
        self._order = order
        self._wanted = ""
        self._list = Listing[GroupRow](lambda row: row.key)

    def body(self, width: int, height: int) -> Sequence[Line]:
        """The table of groups."""
        picture = self.desk.feed.picture
        if picture is None:
            return []
        self._list.renew(rows_of(picture, self._order, self._wanted))
        several = len(picture.streams) > 1
        shown = columns(
            self.desk.feed.trends, self.desk.marks, self._order, width, several_streams=several
        )
        said = f"No stream or group has {self._wanted!r} in its name. Esc shows all"
        empty = Line(said if self._wanted else self.desk.feed.nothing)
        return self._list.lines(
            shown,
            width,
            height,
            self.desk.marks.end,
            empty=empty,
        )

    def note(self) -> Line:
        """The group that is meant, in exact numbers."""
        row = self._list.selected
        return Line() if row is None else detail(row, self.desk.marks)

    def press(self, key: str) -> None:
        """Move, open, pause, sort or filter."""
        row = self._list.selected
        if self._list.press(key):
            return
        if key in ("s", "S"):
            orders = list(Order)
            step = 1 if key == "s" else -1
            self._order = orders[(orders.index(self._order) + step) % len(orders)]
            self.desk.say(f"Sorted by {self._order}")
        elif key == "/":
            self.desk.ask("Filter: ", self._wanted, self._filter)
        elif row is not None and key in ("enter", "right", "d", "p"):
            if row.group is None:
                self.desk.say(f"No group reads {printable(row.stream.name, 60)}")
            elif key == "p":
                pause_or_resume(self.desk, row.stream.name, row.group.name)
            elif key == "d":
                self.desk.open(DeadLettersView(self.desk, row.stream.name, row.group.name))
            else:
                self.desk.open(GroupView(self.desk, row.stream.name, row.group.name))

    def leave(self, key: str) -> bool:
        """Esc shows all again, and leads back then."""
        if key != "esc" or not self._wanted:
            return False
        self._wanted = ""
        return True

    def _filter(self, wanted: str) -> None:
        self._wanted = wanted
