"""The terminal, taken over and given back: its screen, its size, its keys."""

from __future__ import annotations

import os
import termios
import tty
from collections.abc import Sequence
from types import TracebackType
from typing import Any, NamedTuple

from streamq.ui.terminal.line import Line

ENTER = "\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b[2J"
"""Another screen than the shell's, no cursor, pasted text marked as such, and all of it empty."""

LEAVE = "\x1b[?2004l\x1b[?25h\x1b[?1049l"

BEGIN, END = "\x1b[?2026h", "\x1b[?2026l"
"""What comes between them is shown at once, by terminals that know this."""


class Size(NamedTuple):
    """Columns and lines."""

    width: int
    height: int


class Terminal:
    """The terminal that a person sits at; a ``with`` block takes it over.

    Args:
        keys: the descriptor that keys come from.
        screen: the descriptor that is written to.
        colors: whether colours are shown.
    """

    def __init__(self, keys: int, screen: int, *, colors: bool) -> None:
        self._keys = keys
        self._screen = screen
        self._colors = colors
        self._before: list[Any] | None = None
        self._shown: list[str] = []

    @property
    def size(self) -> Size:
        """As it is now."""
        found = os.get_terminal_size(self._screen)
        return Size(found.columns or 80, found.lines or 24)

    def __enter__(self) -> Terminal:
        self.take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.give_back()

    def take(self) -> None:
        """Take it over: keys come one by one, unseen; those that send signals still do."""
        self._before = termios.tcgetattr(self._keys)
        tty.setcbreak(self._keys)
        self._shown = []
        self._write(ENTER)

    def give_back(self) -> None:
        """Give it back as it was; one that has gone needs nothing."""
        if self._before is None:
            return
        before, self._before = self._before, None
        try:
            self._write(LEAVE)
            termios.tcsetattr(self._keys, termios.TCSADRAIN, before)
        except (OSError, termios.error):
            pass

    def forget(self) -> None:
        """Draw everything the next time: the screen is not as it was left."""
        self._shown = []

    def show(self, lines: Sequence[Line]) -> None:
        """Draw a screen of lines as wide as it is: only those that have changed are sent."""
        drawn = [line.ansi(colors=self._colors) for line in lines]
        whole = len(drawn) != len(self._shown)
        news = ["\x1b[2J"] if whole else []
        for number, text in enumerate(drawn):
            if whole or text != self._shown[number]:
                news.append(f"\x1b[{number + 1};1H{text}")
        self._shown = drawn
        if news:
            self._write(f"{BEGIN}{''.join(news)}{END}")

    def read(self) -> bytes:
        """What was typed; nothing when the terminal has gone."""
        try:
            return os.read(self._keys, 4096)
        except OSError:
            return b""

    def _write(self, text: str) -> None:
        data = text.encode(errors="replace")
        while data:
            data = data[os.write(self._screen, data) :]
