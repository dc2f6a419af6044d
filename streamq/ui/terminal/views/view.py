"""What every view is, and what it may ask for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, NamedTuple, Protocol

from streamq.admin import Admin
from streamq.ui.terminal.feed import Feed
from streamq.ui.terminal.line import Line
from streamq.ui.terminal.marks import Marks

LOOKING = Line(("Asking the server", "dim"))
"""Stands for what is not known yet."""

Action = Callable[[], Awaitable[str]]
"""Does something; what it returns is told to the person."""


class Key(NamedTuple):
    """A key that a view knows.

    Attributes:
        names: of the keyboard; what it shows is ``shown`` or the first of them.
        does: in few words.
        changes: whether it changes something on the server.
    """

    names: tuple[str, ...]
    does: str
    shown: str = ""
    changes: bool = False

    @property
    def label(self) -> str:
        """What the footer calls it."""
        return self.shown or self.names[0]


class Desk(Protocol):
    """What a view works with."""

    admin: Admin
    feed: Feed
    marks: Marks

    def open(self, view: View) -> None:
        """Show another view; Esc leads back."""

    def say(self, message: str, style: str = "") -> None:
        """Show a line until the next key."""

    def do(self, action: Action) -> None:
        """Do something in the background."""

    def change(self, question: str, action: Action) -> None:
        """Do something if the person says yes."""

    def ask(self, label: str, text: str, changed: Callable[[str], None]) -> None:
        """Let the person type a line; ``changed`` gets it with every key."""

    def look(self) -> None:
        """Let the view ask the server now, not with the next picture."""


class View(ABC):
    """One thing to look at."""

    keys: ClassVar[Sequence[Key]] = ()

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    async def look(self) -> None:
        """Ask the server for what is shown; called when it opens, and with each picture."""
        return

    @abstractmethod
    def body(self, width: int, height: int) -> Sequence[Line]:
        """Its lines: as many as there is room for, or fewer."""

    def note(self) -> Line:
        """The line below: about the row that is meant."""
        return Line()

    def leave(self, key: str) -> bool:
        """Whether the view itself has a use for a key that leads back, such as Esc."""
        return False

    @abstractmethod
    def press(self, key: str) -> None:
        """A key was pressed."""
