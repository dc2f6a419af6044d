"""Running commands: in this process, in one of their own, at a terminal."""

from __future__ import annotations

import os
import pty
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import IO, NamedTuple

import pytest

from streamq.cli import main

PATIENCE = 30.0
"""Seconds after which a program that has not said what it should counts as hanging."""


class Result(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


def run_here(args: Sequence[str], capsys: pytest.CaptureFixture[str]) -> Result:
    """Run a command in this process."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(args)
    code = ended.value.code
    assert isinstance(code, int)
    return Result(code, *capsys.readouterr())


class Program:
    """A command in a process of its own, whose lines can be waited for.

    Args:
        args: of ``streamq``.
        stdin: what it reads; ``None`` for a pipe that stays open, see :meth:`write`.
        env: added to this process's own environment.
    """

    def __init__(
        self,
        args: Sequence[str],
        *,
        stdin: bytes | None = b"",
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "streamq", *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})},
        )
        self._text = {"out": "", "err": ""}
        self._news: queue.Queue[None] = queue.Queue()
        self._readers = [
            threading.Thread(target=self._read, args=(name, pipe), daemon=True)
            for name, pipe in (("out", self.process.stdout), ("err", self.process.stderr))
        ]
        for reader in self._readers:
            reader.start()
        if stdin is not None:
            if stdin:
                self.write(stdin)
            self.close_stdin()

    def write(self, data: bytes) -> None:
        """Write to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def close_stdin(self) -> None:
        """End its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def wait_for(self, text: str) -> None:
        """Wait until it has printed ``text``, to either of its outputs."""
        self._wait(lambda: any(text in printed for printed in self._text.values()), text)

    @property
    def printed(self) -> str:
        """What it has printed to its standard output so far."""
        return self._text["out"]

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self) -> Result:
        """Wait for its end."""
        code = self.process.wait(PATIENCE)
        for reader in self._readers:
            reader.join(PATIENCE)
        return Result(code, self._text["out"], self._text["err"])

    def kill(self) -> None:
        """Make sure that it is gone."""
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join(PATIENCE)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass

    def _read(self, name: str, pipe: IO[bytes]) -> None:
        for line in pipe:
            self._text[name] += line.decode()
            self._news.put(None)
        self._news.put(None)

    def _wait(self, happened: Callable[[], bool], text: str) -> None:
        while not happened():
            ended = not any(reader.is_alive() for reader in self._readers)
            try:
                self._news.get(timeout=0 if ended else PATIENCE)
            except queue.Empty:
                raise AssertionError(f"never printed {text!r}, but {self._text}") from None


def has_ended(pid: int) -> bool:
    """Whether a process has ended; one that nobody has reaped has, too."""
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(") ")[2][0] in "ZX"
    except ProcessLookupError:
        return True
    except FileNotFoundError:
        return False  # a system without /proc


def read_one_line(*args: str) -> tuple[int, str]:
    """Run a command, read a line of its output and go; return its exit code and complaints."""
    command = [sys.executable, "-m", "streamq", *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        complaints = process.stderr.read().decode()
        return process.wait(PATIENCE), complaints


def at_terminal(
    args: Sequence[str], typed: str = "", columns: int = 80, setup: str = ""
) -> tuple[int, str]:
    """Run a command at a terminal; return its exit code and all that appeared there.

    Args:
        args: of ``streamq``.
        typed: what the person types.
        setup: Python to be run before.
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", f"{setup}\nfrom streamq.cli import main\nmain({list(args)!r})"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns)},
    )
    os.close(theirs)
    if typed:
        os.write(ours, typed.encode())
    shown = b""
    try:
        while block := os.read(ours, 65536):
            shown += block
    except OSError:
        pass  # so a terminal ends on Linux
    finally:
        os.close(ours)
    return process.wait(PATIENCE), shown.decode().replace("\r\n", "\n")
