"""Ctrl-C and SIGTERM, for a command that has to end in good order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from streamq.cli.exits import ExitCode
from streamq.cli.output import note

EXIT_CODES = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}

HINT_AFTER = 1.0
"""Seconds after the signal that a silent server is told of."""


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
