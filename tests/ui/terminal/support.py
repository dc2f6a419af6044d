"""A terminal for the program under test, and what a person would see on it."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Mapping, Sequence

PATIENCE = 30.0
"""Seconds after which a screen that does not show what it should counts as stuck."""

NOT_RESTORED = 99
"""The exit code when the terminal's settings are not as they were."""

SHELL = f"""
trap : INT TERM HUP
before=$(stty -g)
"$@"
code=$?
[ "$(stty -g)" = "$before" ] || exit {NOT_RESTORED}
exit $code
"""

_PIECE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|([^\x1b]+)")


class Screen:
    """What the codes that the view uses make of a screen.

    Attributes:
        other: whether it is not the shell's.
        cursor: whether there is one.
        changing: whether more belongs to what was shown last.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.other = False
        self.cursor = True
        self.changing = False
        self._rows = [" " * width] * height
        self._row = self._column = 0
        self._left = ""

    def resize(self, width: int, height: int) -> None:
        """As the window of a person is."""
        self.width, self.height = width, height
        self._rows = [" " * width] * height

    def feed(self, text: str) -> None:
        """What the program has written, which may come in any pieces."""
        text = self._left + text
        # A code that has come in part is kept for later.
        last = text.rfind("\x1b")
        whole = last < 0 or _PIECE.match(text, last)
        self._left = "" if whole else text[last:]
        for parameters, code, plain in _PIECE.findall(text if whole else text[:last]):
            if plain:
                self._write(plain)
            elif code == "H":
                self._row, self._column = (int(number) - 1 for number in parameters.split(";"))
            elif code == "J":
                self._rows = [" " * self.width] * self.height
            elif parameters == "?1049":
                self.other = code == "h"
            elif parameters == "?2026":
                self.changing = code == "h"
            elif parameters == "?25":
                self.cursor = code == "h"

    def _write(self, plain: str) -> None:
        if self._row < self.height:
            line = self._rows[self._row]
            written = line[: self._column] + plain + line[self._column + len(plain) :]
            self._rows[self._row] = written[: self.width]
        self._column += len(plain)

    @property
    def text(self) -> str:
        """Its lines."""
        return "\n".join(row.rstrip() for row in self._rows)


class Sitting:
    """``streamq top`` in a process of its own, at a terminal with a person.

    Args:
        args: of ``streamq``.
        env: added to this process's own environment; ``None`` takes a variable out.
        setup: Python to be run before.
    """

    def __init__(
        self,
        args: Sequence[str],
        *,
        width: int = 80,
        height: int = 24,
        env: Mapping[str, str | None] | None = None,
        setup: str = "",
    ) -> None:
        self.screen = Screen(width, height)
        self._ours, theirs = pty.openpty()
        self._size(width, height)
        given = {**os.environ, "TERM": "xterm-256color", **(env or {})}
        program = f"{setup}\nfrom streamq.cli import main\nmain({list(args)!r})"
        self.process = subprocess.Popen(
            ["sh", "-c", SHELL, "sh", sys.executable, "-c", program],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_take_terminal,
            env={name: value for name, value in given.items() if value is not None},
        )
        os.close(theirs)
        self.written = ""
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._ours, keys.encode())

    def resize(self, width: int, height: int) -> None:
        """Change the size of the window."""
        with self._news:
            self.screen.resize(width, height)
            self._size(width, height)
        self.signal(signal.SIGWINCH)

    def wait_for(self, *texts: str, without: str | None = None) -> str:
        """Wait until all of these are on the screen, and that is not; what is on it."""

        def shown() -> bool:
            text = self.screen.text
            there = all(one in text for one in texts) and (without is None or without not in text)
            return there and not self.screen.changing

        with self._news:
            self.wait_until(shown, f"{texts} without {without!r}")
            return self.screen.text

    def wait_until(self, happened: Callable[[], bool], what: str) -> None:
        """Wait until what is on the screen, or was written, is so."""
        with self._news:
            if not self._news.wait_for(happened, PATIENCE):
                raise AssertionError(
                    f"never {what}, but\n{self.screen.text}\n{self.written[-500:]}"
                )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, as the terminal sends those that keys stand for."""
        os.killpg(self.process.pid, number)

    def go_on(self) -> None:
        """Let it go on after Ctrl-Z; it need not have stopped yet."""
        while not self.screen.other:
            self.signal(signal.SIGCONT)
            with self._news:
                self._news.wait(0.05)

    def end(self) -> int:
        """Wait for its end; its exit code."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def kill(self) -> None:
        """Make sure that it is gone."""
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
        self.end()
        os.close(self._ours)

    def _read(self) -> None:
        decode = codecs.getincrementaldecoder("utf-8")().decode
        try:
            while block := os.read(self._ours, 65536):
                with self._news:
                    text = decode(block)
                    self.written += text
                    self.screen.feed(text)
                    self._news.notify_all()
        except OSError:
            pass  # so a terminal ends on Linux

    def _size(self, width: int, height: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))


def _take_terminal() -> None:
    """Let the terminal be the new session's, so that Ctrl-C and Ctrl-Z are signals."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
