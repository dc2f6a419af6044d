"""One run of a program: started, given its input, and ended with its children."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, cast

from streamq.programs.output import Output, Tail
from streamq.programs.watchdog import TERM_GRACE, Watchdog
from streamq.signals import Leaving, Signal

REAP = 1.0
"""Seconds that a program has for ending after SIGKILL."""

DRAIN = 1.0
"""Seconds for reading on after the program ended: its children may hold the pipes."""

_running: set[int] = set()
"""The programs' process IDs, which are their process groups' too."""
_watchdog = Watchdog()


class Ended(NamedTuple):
    """How a program ended.

    Attributes:
        code: its exit code; below zero the signal that killed it.
        stdout: what it wrote there.
        stderr: the end of what it wrote there.
    """

    code: int
    stdout: Output
    stderr: Tail


async def run(
    arguments: Sequence[bytes],
    *,
    environment: Mapping[str, str],
    stdin: bytes,
    output: Callable[[bytes], None],
) -> Ended:
    """Run a program to its end. A cancellation ends it and its children.

    Args:
        arguments: the program and its arguments.
        environment: added to this process's own.
        stdin: what it reads from its standard input.
        output: called with what it writes to its standard output, whole lines at a time.

    Raises:
        OSError: it cannot be started.
    """
    loop = asyncio.get_running_loop()
    transport, program = await loop.subprocess_exec(
        lambda: _Program(output),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
        # A group of its own: Ctrl-C is for the worker, which lets the program finish.
        start_new_session=True,
    )
    pid = transport.get_pid()
    _running.add(pid)
    _watchdog.add(pid)
    try:
        pipe = cast("asyncio.WriteTransport", transport.get_pipe_transport(0))
        if not pipe.is_closing():  # as it is when the program has ended already
            pipe.write(stdin)
            pipe.close()  # once that is written
        await asyncio.wait([program.ended])
        await asyncio.wait([program.silent], timeout=DRAIN)
    except BaseException:  # a cancellation, as a rule
        await _end(pid, program)
        raise
    finally:
        _running.discard(pid)
        _watchdog.remove(pid)
        transport.close()
        program.stdout.finish()
    return Ended(transport.get_returncode() or 0, program.stdout, program.stderr)


def end_programs(event: Signal) -> None:
    """An observer that kills the programs when the process is about to leave at once."""
    if isinstance(event, Leaving):
        for pid in list(_running):
            _kill_group(pid, signal.SIGKILL)


async def _end(pid: int, program: _Program) -> None:
    """End a program and its children: politely, then not."""
    try:
        _kill_group(pid, signal.SIGTERM)
        await asyncio.wait([program.ended], timeout=TERM_GRACE)
    finally:
        _kill_group(pid, signal.SIGKILL)
        # Closed before that is known, its transport would never learn of the end.
        await asyncio.wait([program.ended], timeout=REAP)


def _kill_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # all of them have ended


class _Program(asyncio.SubprocessProtocol):
    """One run of a program.

    Attributes:
        ended: done when the process has ended.
        silent: done when nothing more can come from it or its children.
    """

    def __init__(self, output: Callable[[bytes], None]) -> None:
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.silent: asyncio.Future[None] = loop.create_future()
        self.stdout = Output(output)
        self.stderr = Tail()
        self._open = {1, 2}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        (self.stdout if fd == 1 else self.stderr).take(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        # Standard input is lost when the program does not read it: its own affair.
        self._open.discard(fd)
        if not self._open and not self.silent.done():
            self.silent.set_result(None)

    def process_exited(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
