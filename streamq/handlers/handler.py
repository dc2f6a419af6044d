"""Handlers: what to call for a job, and with which arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from streamq.errors import ConfigError
from streamq.handlers.binding import Binder, compile_binder, only_job, plain
from streamq.limits import RETRIES
from streamq.middleware import Middleware, only_instrumentation
from streamq.retry import Backoff

ANY = "*"
"""The type of the handler that takes every job no other handler takes."""


class Mode(Enum):
    """Where a handler runs."""

    ASYNC = "async"
    THREAD = "thread"
    PROCESS = "process"


@dataclass(frozen=True, slots=True)
class Handler:
    """One handler and its rules.

    Attributes:
        type: the job type that it takes, or :data:`ANY`.
        function: what to call.
        mode: in the event loop, in a thread, or in a process.
        retries: how many attempts follow a first failure.
        backoff: when they follow.
        timeout: seconds that one delivery may run; ``None`` for no limit.
        batch: the most jobs that one call takes, as a list; 0 for one at a time.
        batch_wait: seconds that the first job of a batch waits for others; 0 for what is there.
        batch_by_key: whether all jobs of one call have the same order key.
        bind: makes the arguments for a job, or raises :class:`InvalidArguments`.
        middleware: wraps the handling of each job, the first one outermost.
        gathers: whether its batches are gathered before there is a runner for them.
        loads: whether the data of its jobs is yet to be read from outside the stream.
        direct: whether it can be awaited as it is: async, without middleware, and all is there.
    """

    type: str
    function: Callable[..., Any]
    mode: Mode
    retries: int
    backoff: Backoff
    timeout: float | None
    batch: int
    bind: Binder = field(repr=False)
    middleware: Sequence[Middleware] = ()
    batch_wait: float = 0.0
    batch_by_key: bool = False
    gathers: bool = field(init=False)
    loads: bool = False
    direct: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "gathers", self.batch_wait > 0 or self.batch_by_key)
        direct = self.mode is Mode.ASYNC and not self.middleware and not self.loads
        object.__setattr__(self, "direct", direct)

    def wrapped(self, middleware: Sequence[Middleware]) -> Handler:
        """This handler with middleware around it.

        Raises:
            ConfigError: it takes batches, and one of the middleware wraps one job only.
        """
        if not middleware:
            return self
        if self.batch and only_instrumentation(middleware) is None:
            raise ConfigError(
                f"the handler of {self.type!r} takes batches, and middleware wraps one job: "
                "register it in a group without middleware"
            )
        return replace(self, middleware=tuple(middleware))


def make_handler(
    type: str,
    function: Callable[..., Any],
    *,
    retries: int = RETRIES,
    backoff: Backoff | None = None,
    timeout: float | None = None,
    process: bool = False,
    batch: int = 0,
    batch_wait: float = 0.0,
    batch_by_key: bool = False,
) -> Handler:
    """Check a function and its rules, and compile how its arguments are bound.

    Raises:
        ConfigError: the function or a rule cannot be used.
    """
    name = getattr(function, "__qualname__", repr(function))
    if not callable(function):
        raise ConfigError(f"{name} is not a function: give one that takes the job's data")
    if _is_generator(function):
        raise ConfigError(f"{name} is a generator and would never run: leave out its yield")
    is_async = _is_async(function)
    if process and is_async:
        raise ConfigError(f"{name} is async and cannot run in a process: make it a plain def")
    if retries < 0:
        raise ConfigError(f"{name}: retries={retries}: give zero or more")
    if timeout is not None and not 0 < timeout < float("inf"):
        raise ConfigError(f"{name}: timeout={timeout}: give seconds, more than zero")
    if batch < 0:
        raise ConfigError(f"{name}: batch={batch}: give how many jobs a call takes")
    if not 0 <= batch_wait < float("inf"):
        raise ConfigError(f"{name}: batch_wait={batch_wait}: give seconds, zero or more")
    for rule, value in (("batch_wait", batch_wait), ("batch_by_key", batch_by_key)):
        if value and not batch:
            raise ConfigError(f"{name}: {rule}={value} is for batches: give batch=, too")
    mode = Mode.ASYNC if is_async else Mode.PROCESS if process else Mode.THREAD
    return Handler(
        type=type,
        function=function,
        mode=mode,
        retries=retries,
        backoff=backoff or Backoff(),
        timeout=timeout,
        batch=batch,
        bind=only_job if batch else compile_binder(function, name),
        batch_wait=batch_wait,
        batch_by_key=batch_by_key,
    )


def _is_async(function: Callable[..., Any]) -> bool:
    # A decorator may make a function async, or hand on what an async one returns.
    inner = plain(function)
    while not inspect.iscoroutinefunction(inner):
        if not hasattr(inner, "__wrapped__"):
            return False
        inner = plain(inner.__wrapped__)
    return True


def _is_generator(function: Callable[..., Any]) -> bool:
    inner = plain(function)
    return inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner)
