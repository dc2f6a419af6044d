"""Ctrl-C and SIGTERM, for a command that has to end in good order."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from streamq.cli.exits import ExitCode
from streamq.cli.output import note

EXIT_CODES = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}

HINT_AFTER = 1.0
"""Seconds after the signal until a silent server is mentioned."""


@contextmanager
def interruptible(stop: Callable[[ExitCode], None], waiting: str) -> Iterator[None]:
    """Call ``stop`` at the first signal; the second ends the process.

    Args:
        stop: lets what is under way come to its end; it gets the command's exit code.
        waiting: a line for a person, if that takes long.
    """
    loop = asyncio.get_running_loop()
    hint: asyncio.TimerHandle | None = None

    def release() -> None:
        for number in EXIT_CODES:
            loop.remove_signal_handler(number)

    def receive(code: ExitCode) -> None:
        nonlocal hint
        release()
        stop(code)
        hint = loop.call_later(HINT_AFTER, note, waiting)

    for number, code in EXIT_CODES.items():
        loop.add_signal_handler(number, receive, code)
    try:
        yield
    finally:
        release()
        if hint is not None:
            hint.cancel()


@contextmanager
def until_nobody_reads(stop: Callable[[ExitCode], None]) -> Iterator[None]:
    """Call ``stop`` when whoever read standard output has gone, even while nothing is written.

    Only another program can go so: a file stays, and a terminal says so with a signal.

    Args:
        stop: lets what is under way come to its end; it gets the command's exit code.
    """
    if not _is_fed_to_a_program():
        yield
        return
    loop = asyncio.get_running_loop()
    output = sys.stdout.fileno()

    def look() -> None:
        if reader_has_gone():
            loop.remove_reader(output)
            stop(ExitCode.BROKEN_PIPE)

    # Nothing can be read there; what shows is that the other end has been closed.
    loop.add_reader(output, look)
    try:
        yield
    finally:
        loop.remove_reader(output)


def reader_has_gone() -> bool:
    """Whether standard output has lost its reader."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


def _is_fed_to_a_program() -> bool:
    try:
        mode = os.fstat(sys.stdout.fileno()).st_mode
    except (OSError, ValueError):  # closed, or a test's own
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
