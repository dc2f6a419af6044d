"""The line at which a person says yes or no, or types a text."""

from __future__ import annotations

from collections.abc import Callable

from streamq.text import printable
from streamq.ui.terminal.line import Line


class Question:
    """Yes or no: any key but ``y`` is no."""

    def __init__(self, question: str, answered: Callable[[bool], None]) -> None:
        self._question = question
        self._answered = answered

    def line(self) -> Line:
        """What is seen of it."""
        return Line((self._question, "bold yellow"), " [y/N] ", (" ", "reverse"))

    def press(self, key: str) -> bool:
        """A key was pressed; whether that was the last one that it takes."""
        self._answered(key in ("y", "Y"))
        return True


class Entry:
    """A text: Enter ends it, Esc leaves it as it was."""

    def __init__(self, label: str, text: str, changed: Callable[[str], None]) -> None:
        self._label = label
        self._before = self._text = text
        self._changed = changed

    def line(self) -> Line:
        """What is seen of it."""
        return Line((self._label, "bold"), self._text, (" ", "reverse"))

    def press(self, key: str) -> bool:
        """A key was pressed; whether that was the last one that it takes."""
        if key == "enter":
            return True
        if key == "esc":
            self._text = self._before
        elif key == "backspace":
            self._text = self._text[:-1]
        elif key == "clear":
            self._text = ""
        elif len(key) == 1 or key.startswith("paste:"):
            self._text += printable(key.removeprefix("paste:"))
        self._changed(self._text)
        return key == "esc"


Prompt = Question | Entry
