"""Calling a handler that would block the event loop: in a thread or a process."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from contextvars import copy_context
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from anyio import BrokenWorkerProcess, CapacityLimiter, to_process, to_thread

from streamq.errors import HandlerFailed, NoMainGuard
from streamq.handlers.handler import Handler, Mode
from streamq.job import Emitted, Job
from streamq.middleware import IN_PROCESS
from streamq.retry import Dead, Retry
from streamq.running import RUNNING, Call
from streamq.text import printable
from streamq.tracebacks import RemoteTraceback, traceback_of
from streamq.verdict import foreseen
from streamq.worker.progress_inbox import ProgressInbox, telling

UNDONE = (CoroutineType, GeneratorType, AsyncGeneratorType, asyncio.Future)
"""Results that are work not yet done."""


class Executors:
    """Calls ``def`` handlers.

    Args:
        threads: how many ``def`` handlers run at once.
        processes: how many CPU-bound handlers run at once, each in a process of its own.
    """

    def __init__(self, threads: int, processes: int) -> None:
        self._threads = CapacityLimiter(threads)
        self._processes = CapacityLimiter(processes)
        self._inbox = ProgressInbox()

    def close(self) -> None:
        """Let handlers in processes tell nothing more."""
        self._inbox.close()

    async def call(
        self, handler: Handler, jobs: Sequence[Job], args: tuple[Any, ...],
        kwargs: dict[str, Any], begun: Callable[[], None],
    ) -> Any:  # fmt: skip
        """Call a handler and return its result, or raise what it raised.

        When cancelled, a handler in a process is killed; one in a thread cannot be
        stopped, and runs on with nothing waiting for it.

        Args:
            begun: called when there is a thread or a process for it.
        """
        if handler.mode is Mode.THREAD:
            async with self._threads:
                begun()
                return await to_thread.run_sync(
                    _in_thread, handler.function, jobs, args, kwargs,
                    abandon_on_cancel=True, limiter=CapacityLimiter(1),
                )  # fmt: skip
        async with self._processes:
            begun()
            try:
                result, emitted, error, failed_at = await to_process.run_sync(
                    _in_process, handler.function, jobs, args, kwargs, self._inbox.address(jobs[0]),
                    IN_PROCESS.get(), cancellable=True, limiter=CapacityLimiter(1),
                )  # fmt: skip
            except BrokenWorkerProcess as broken:
                if isinstance(broken.__cause__, NoMainGuard):
                    raise broken.__cause__ from None
                raise
        if error is not None:
            raise error from (RemoteTraceback(failed_at) if failed_at else None)
        for job, events in zip(jobs, emitted, strict=True):
            job.emitted = events
        return result


def undone(result: Any) -> TypeError:
    """The failure of a handler that returned work not yet done.

    Args:
        result: one of :data:`UNDONE`.
    """
    if isinstance(result, CoroutineType):
        result.close()
    return TypeError(
        f"the handler returned a {type(result).__name__}, which has not run: await what it "
        "calls, make it async def, or leave out a yield"
    )


def _call(
    function: Callable[..., Any],
    jobs: Sequence[Job],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    RUNNING.set(Call(jobs))  # the runner may be at its next job while an abandoned one runs on
    result = function(*args, **kwargs)
    if isinstance(result, UNDONE):
        raise undone(result)
    return result


def _in_thread(
    function: Callable[..., Any],
    jobs: Sequence[Job],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    try:
        return _call(function, jobs, args, kwargs)
    except (KeyboardInterrupt, SystemExit) as error:
        # In a thread they are the job's failure; let out, they would end the worker.
        raise _ended(error) from None


def _ended(error: BaseException) -> HandlerFailed:
    if isinstance(error, SystemExit):
        return HandlerFailed(f"the handler called sys.exit({printable(error.code, 100)})")
    return HandlerFailed(f"the handler raised {type(error).__name__}")


def _in_process(
    function: Callable[..., Any],
    jobs: Sequence[Job],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    inbox: str,
    around: Sequence[Callable[[], AbstractContextManager[object]]],
) -> tuple[Any, list[list[Emitted] | None], BaseException | None, str]:
    # Arguments and jobs come over in one message, so they are the same objects here.
    try:
        with telling(inbox, jobs[0]), ExitStack() as entered:
            for manager in around:
                entered.enter_context(manager())
            result = copy_context().run(_call, function, jobs, args, kwargs)
    except Exception as error:
        return None, [], _portable(error), "" if foreseen(error) else traceback_of(error)
    except BaseException as error:  # sys.exit() too: the process serves the next job
        return None, [], _ended(error), ""
    return result, [job.emitted for job in jobs], None, ""


def _portable(error: Exception) -> Exception:
    """The error, or in place of one that cannot leave the process, one that says the same."""
    try:
        if not isinstance(error, StopIteration):  # which no coroutine can raise
            pickle.loads(pickle.dumps(error))
            return error
    except Exception:
        pass
    if isinstance(error, Dead):
        return Dead(printable(error))
    if isinstance(error, Retry):
        return Retry(printable(error), delay=error.delay)
    return HandlerFailed(f"{type(error).__name__}: {printable(error)}")
