"""A worker's standard output, and the handler that only prints."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace

from streamq.cli.output import cannot_write, is_terminal
from streamq.handlers.binding import Arguments
from streamq.handlers.handler import ANY, Handler, make_handler
from streamq.job import Job
from streamq.text import printable

SHOWN = 2000
"""Characters of a payload that a terminal shows."""


class Output:
    """Standard output, written in whole lines at once.

    Attributes:
        broken: why it can no longer be written: as a rule, its reader has gone.
        on_broken: called when that is noticed.
    """

    def __init__(self) -> None:
        self.broken: OSError | None = None
        self.on_broken: Callable[[], None] = lambda: None
        self.terminal = is_terminal()

    def line(self, text: str) -> bool:
        """Write one line of safe text; whether that was possible."""
        return self._write(text.encode("utf-8", "backslashreplace") + b"\n")

    def relay(self, lines: bytes) -> None:
        """Write what a program has printed; a terminal gets no control characters."""
        if self.terminal:
            for text in lines.splitlines():
                self.line(printable(text))
        else:
            self._write(lines)

    def check(self) -> None:
        """Say so if not all was written.

        Raises:
            BrokenPipeError: whoever read it has gone.
            CommandError: it cannot be written.
        """
        match self.broken:
            case BrokenPipeError():
                raise self.broken
            case OSError():
                raise cannot_write(self.broken)

    def _write(self, data: bytes) -> bool:
        if self.broken is not None:
            return False
        try:
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except OSError as error:
            self.broken = error
            self.on_broken()
        return self.broken is None


def printing_handler(output: Output, *, retries: int, timeout: float | None) -> Handler:
    """A handler for every type that prints each job; then it is done."""
    limit = SHOWN if output.terminal else None

    async def show(job: Job) -> None:
        payload = printable(job.raw, limit)
        if not output.line(f"Processing job: {job.id} with payload {payload}"):
            # Not done, and no failure: wait to be given back when the worker stops.
            await asyncio.get_running_loop().create_future()

    def bind(job: Job) -> Arguments:
        _ = job.data  # entries that are not JSON are dead letters
        return (job,), {}

    return replace(make_handler(ANY, show, retries=retries, timeout=timeout), bind=bind)
