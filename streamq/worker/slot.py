"""One runner, and what it is doing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import Enum
from typing import Any

from streamq.handlers.handler import Handler
from streamq.job import Job
from streamq.worker.deadlines import NEVER


class Cause(Enum):
    """Why a handler is cancelled."""

    TIMEOUT = "timeout"
    LEASE_LOST = "lease lost"
    SHUTDOWN = "shutdown"
    CANCELLED = "cancelled"


class Slot:
    """One runner.

    Attributes:
        task: in which it runs.
        jobs: what its handler is called for; empty between two calls.
        handler: the handler.
        started: Unix time in seconds at which it was called; 0.0 before.
        deadline: when it is to be cancelled, or abandoned, by the event loop's clock.
        cause: why it is being cancelled.
        abandoned: whether its jobs were settled without it.
        asked: the jobs that another task or thread than the runner's has asked for.
    """

    __slots__ = ("abandoned", "asked", "cause", "deadline", "handler", "jobs", "started", "task")

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.jobs: Sequence[Job] = ()
        self.handler: Handler | None = None
        self.started = 0.0
        self.deadline = NEVER
        self.cause: Cause | None = None
        self.abandoned = False
        self.asked: Sequence[Job] = ()

    def told(self) -> Sequence[Job]:
        """The jobs of the call that the code which asks is part of.

        A task or a thread that the handler has started may go on after it. Once such a one has
        asked, it is told the same for good: this runner calls no other handler.
        """
        if self.asked:
            return self.asked
        if self.jobs and self.task is not _current_task():
            self.asked = self.jobs
        return self.jobs


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # in a thread
        return None
