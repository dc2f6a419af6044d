"""The jobs whose handler is running here, by a context variable."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Protocol

from streamq.job import Job


class Running(Protocol):
    """Whoever calls handlers, one after the other."""

    def told(self) -> Sequence[Job]:
        """The jobs of the call that the code which asks is part of."""


class Call:
    """A single call of a handler, in a context of its own."""

    __slots__ = ("_jobs",)

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs

    def told(self) -> Sequence[Job]:
        """Its jobs."""
        return self._jobs


RUNNING: ContextVar[Running] = ContextVar("streamq_running")
"""Set once by each runner, not for each job: that would cost more than all else here."""


def running_jobs() -> Sequence[Job]:
    """The jobs that the handler is called for: several in a batch, none outside of handlers."""
    running = RUNNING.get(None)
    return () if running is None else running.told()


def current_job() -> Job | None:
    """The job whose handler is running here.

    It goes where the context goes: into what the handler calls, awaits and starts as a task, and
    into its thread or process. A task that outlives the handler keeps its job if it has asked, or
    logged, before the handler ended.

    Returns:
        ``None`` outside of handlers, and in a handler of batches, which has several.
    """
    jobs = running_jobs()
    return jobs[0] if len(jobs) == 1 else None
