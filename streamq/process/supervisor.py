"""Several worker processes under one: restarted when they crash, stopped together."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from streamq.process.child import LIFELINE
from streamq.retry import Backoff
from streamq.worker.shutdown import STOP_SIGNALS


class EqualJitter(Backoff):
    """At least half of the ceiling: what fails at once must not keep a core busy."""

    def delay(self, attempt: int, rand: Callable[[], float] | None = None) -> float:
        """Seconds to wait after ``attempt`` failed."""
        return (self.ceiling(attempt) + super().delay(attempt, rand)) / 2


BACKOFF = EqualJitter(base=0.5, factor=2, cap=30.0)

STEADY = 10.0
"""Seconds after which a process counts as having started well."""

_log = logging.getLogger("streamq")


class Equipment(NamedTuple):
    """What a process gets for its way: variables, and descriptors that it inherits."""

    environment: Mapping[str, str]
    descriptors: Sequence[int] = ()


@dataclass(eq=False)
class _Child:
    """One place in the supervisor, and the process that fills it."""

    number: int
    process: asyncio.subprocess.Process | None = None
    crashes: int = 0
    trouble: str = ""
    """Why it could not be started, the last time."""


class Supervisor:
    """Runs a command several times, side by side.

    A process that crashes (by a signal, or an exit code that ``final`` does not name) is
    started again, after a pause that grows while it keeps crashing. One that ends with
    a code of ``final`` other than 0 would end so again: all are stopped then.

    Each finds a pipe to watch, see :data:`~streamq.process.child.LIFELINE` and
    :func:`streamq.process.child.stop_with_supervisor`. They are not stopped by a
    signal, because a service manager may signal them as well, and the second one a
    worker gets means something else.

    Args:
        command: what each process runs.
        count: how many there are, numbered from 1.
        equip: called before each start of a process with its number.
        final: exit codes after which a process is not started again.
    """

    def __init__(
        self,
        command: Sequence[str],
        count: int,
        *,
        equip: Callable[[int], Equipment],
        final: frozenset[int] = frozenset({0}),
    ) -> None:
        self._command = list(command)
        self._children = [_Child(number) for number in range(1, count + 1)]
        self._equip = equip
        self._final = final
        self._stopping = asyncio.Event()
        self._asked = 0
        self._exit_code = 0
        self._watched, self._kept = -1, -1  # the two ends of the lifeline

    @property
    def pids(self) -> Mapping[int, int]:
        """The process IDs of those that run, by number."""
        # May be called from another thread, while a process ends.
        running = [(child.number, child.process) for child in self._children]
        return {number: process.pid for number, process in running if process is not None}

    async def run(self) -> int:
        """Run until all have ended; return the exit code for this process.

        After the first SIGINT or SIGTERM the processes finish what they are doing, after
        the second they leave at once, and a third kills those that still cannot.
        """
        loop = asyncio.get_running_loop()
        self._watched, self._kept = os.pipe()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._receive, number)
        try:
            await asyncio.gather(*map(self._keep, self._children))
        finally:
            for number in STOP_SIGNALS:
                loop.remove_signal_handler(number)
            self._stop()
            os.close(self._watched)
        return self._exit_code

    # -- one process ----------------------------------------------------------

    async def _keep(self, child: _Child) -> None:
        while not self._stopping.is_set():
            started = time.monotonic()
            code = await self._run(child)
            if code in self._final or self._stopping.is_set():
                self._ended(code)
                return
            child.crashes = 1 if time.monotonic() - started >= STEADY else child.crashes + 1
            seconds = BACKOFF.delay(child.crashes)
            _log.error(
                "Worker process %d %s; starting it again in %.1f s",
                child.number, child.trouble or _how(code), seconds,
            )  # fmt: skip
            try:
                async with asyncio.timeout(seconds):
                    await self._stopping.wait()
            except TimeoutError:
                pass

    async def _run(self, child: _Child) -> int:
        try:
            environment, descriptors = self._equip(child.number)
            child.process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                env={**os.environ, **environment, LIFELINE: str(self._watched)},
                pass_fds=[self._watched, *descriptors],
                # The terminal's Ctrl-C is for the supervisor alone, which passes it on.
                start_new_session=True,
            )
        except OSError as error:  # too many processes or open files, for example
            child.trouble = f"cannot be started: {error}"
            return os.EX_OSERR
        child.trouble = ""
        try:
            _log.info("Worker process %d started, pid %d", child.number, child.process.pid)
            if self._asked > 1:
                self._hurry(child.process)
            return await child.process.wait()
        finally:
            child.process = None

    def _ended(self, code: int) -> None:
        """Take the exit code of a process that is not started again."""
        if code != 0 and -code not in STOP_SIGNALS:
            self._exit_code = self._exit_code or (code if code > 0 else 128 - code)
            self._stop()

    def _stop(self) -> None:
        if not self._stopping.is_set():
            self._stopping.set()
            os.close(self._kept)

    # -- signals --------------------------------------------------------------

    def _receive(self, number: int) -> None:
        self._asked += 1
        self._stop()
        if self._asked > 1:
            self._exit_code = 128 + number
            for child in self._children:
                if child.process is not None:
                    self._hurry(child.process)

    def _hurry(self, process: asyncio.subprocess.Process) -> None:
        # A worker leaves at its second signal. Of two alike it may see only one.
        for number in STOP_SIGNALS if self._asked == 2 else (signal.SIGKILL,):
            try:
                process.send_signal(number)
            except ProcessLookupError:
                pass


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:  # one of the real-time signals
        return f"was killed by signal {-code}"
