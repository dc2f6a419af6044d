"""One runner, and what it is doing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import Enum

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
    """

    __slots__ = ("abandoned", "cause", "deadline", "handler", "jobs", "started", "task")

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.jobs: Sequence[Job] = ()
        self.handler: Handler | None = None
        self.started = 0.0
        self.deadline = NEVER
        self.cause: Cause | None = None
        self.abandoned = False
