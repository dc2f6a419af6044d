"""Several worker processes under one: restarted when they crash, stopped together."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from streamq.retry import Backoff
from streamq.worker.shutdown import STOP_SIGNALS

BACKOFF = Backoff(base=0.25, factor=2, cap=30.0)

STEADY = 10.0
"""Seconds after which a process counts as having started well."""

LIFELINE = "STREAMQ_LIFELINE"
"""Names the file descriptor that closes when the supervisor is gone, however it went."""

_log = logging.getLogger("streamq")


@dataclass(eq=False)
class Child:
    """One place in the supervisor, and the process that fills it."""

    number: int
    process: asyncio.subprocess.Process | None = None
    crashes: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)


class Supervisor:
    """Runs a command several times, side by side.

    A process that crashes (by a signal, or an exit code that ``final`` does not name) is
    started again, after a pause that grows while it keeps crashing. One that ends with
    a code of ``final`` other than 0 would end so again: all are stopped then.

    Args:
        command: what each process runs.
        environments: one for each process, added to this process's own.
        final: exit codes after which a process is not started again.
    """

    def __init__(
        self,
        command: Sequence[str],
        environments: Sequence[Mapping[str, str]],
        *,
        final: frozenset[int] = frozenset({0}),
    ) -> None:
        self._command = list(command)
        self._children = [
            Child(number, environment=environment)
            for number, environment in enumerate(environments, start=1)
        ]
        self._final = final
        self._stopping = asyncio.Event()
        self._exit_code = 0

    async def run(self) -> int:
        """Run until all have ended; return the exit code for this process.

        SIGINT and SIGTERM are passed on, each time they come: the children finish what
        they are doing after the first, and leave at once after the second.
        """
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._pass_on, number)
        lifeline, kept = os.pipe()
        try:
            await asyncio.gather(*(self._keep(child, lifeline) for child in self._children))
        finally:
            os.close(lifeline)
            os.close(kept)
            for number in STOP_SIGNALS:
                loop.remove_signal_handler(number)
        return self._exit_code

    async def _keep(self, child: Child, lifeline: int) -> None:
        while not self._stopping.is_set():
            started = time.monotonic()
            child.process = await asyncio.create_subprocess_exec(
                *self._command,
                env={**os.environ, **child.environment, LIFELINE: str(lifeline)},
                pass_fds=[lifeline],
                # The terminal's Ctrl-C is for the supervisor alone, which passes it on.
                start_new_session=True,
            )
            code = await child.process.wait()
            child.process = None
            if code in self._final:
                if code != 0:
                    self._exit_code = code
                    self._pass_on(signal.SIGTERM)
                return
            if self._stopping.is_set():
                self._exit_code = self._exit_code or max(code, 0)
                return
            child.crashes = 1 if time.monotonic() - started >= STEADY else child.crashes + 1
            await self._pause(child, code)

    async def _pause(self, child: Child, code: int) -> None:
        seconds = BACKOFF.delay(child.crashes)
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        _log.error("Worker process %d ended (%s): again in %.1f s", child.number, how, seconds)
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    def _pass_on(self, number: int) -> None:
        self._stopping.set()
        for child in self._children:
            if child.process is not None and child.process.returncode is None:
                try:
                    child.process.send_signal(number)
                except ProcessLookupError:
                    pass
