"""What became of an attempt, as its span and its metrics tell it."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from streamq.errors import JobTimeout
from streamq.job import Job
from streamq.retry import Dead, Retry
from streamq.worker.slot import Cause


class Outcome(NamedTuple):
    """What became of an attempt.

    Attributes:
        name: ``succeeded``, ``retry`` (another attempt follows), ``dead``, ``cancelled`` (by an
            operator or its producer), ``released`` (the worker stops: it does not count), or
            ``lost`` (another worker has the job).
        error: what went wrong, if something did. Neither a ``Retry`` before the last attempt nor
            the end of a worker is an error.
    """

    name: str
    error: BaseException | None = None

    @property
    def error_type(self) -> str | None:
        """The name of the error's class, with its module if it is not a built-in one."""
        return None if self.error is None else type_name(self.error)


SUCCEEDED = Outcome("succeeded")


def type_name(error: BaseException) -> str:
    """The name of an error's class, with its module if it is not a built-in one."""
    kind = type(error)
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def outcome_of(job: Job, error: BaseException) -> Outcome:
    """What becomes of an attempt that has raised ``error``."""
    last = job.attempt > job.retries
    if isinstance(error, asyncio.CancelledError):
        match _cause(error):
            case Cause.TIMEOUT:
                late = JobTimeout("ran longer than its timeout")
                return Outcome("dead" if last else "retry", late)
            case Cause.LEASE_LOST:
                return Outcome("lost")
            case Cause.CANCELLED:
                return Outcome("cancelled")
            case Cause.SHUTDOWN:
                return Outcome("released")
            case None:
                pass  # the handler has awaited what something else cancelled
    if isinstance(error, Dead) or last:
        return Outcome("dead", error)
    return Outcome("retry", None if isinstance(error, Retry) else error)


def _cause(error: asyncio.CancelledError) -> Cause | None:
    """Why the worker cancels the handler; ``None`` where it does not."""
    try:
        return Cause(*error.args)
    except (TypeError, ValueError):
        task = asyncio.current_task()
        return Cause.SHUTDOWN if task is not None and task.cancelling() else None
