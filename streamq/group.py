"""A consumer group: its handlers, and what they share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ParamSpec, TypeVar

from streamq.errors import ConfigError
from streamq.handlers.handler import Handler, make_handler
from streamq.limits import RETRIES
from streamq.middleware import Middleware
from streamq.retry import Backoff
from streamq.wire.entry import check_type
from streamq.wire.keys import check_group, check_stream

P = ParamSpec("P")
R = TypeVar("R")


class Registry:
    """Handlers by stream and type; the rules that a handler does not give are the registry's."""

    def __init__(
        self,
        *,
        stream: str | None = None,
        ignore: Iterable[str] = (),
        retries: int | None = None,
        backoff: Backoff | None = None,
        timeout: float | None = None,
        middleware: Sequence[Middleware] = (),
    ) -> None:
        if isinstance(ignore, str):
            raise ConfigError(f"ignore={ignore!r}: give a list of types, ignore=[{ignore!r}]")
        self.stream = None if stream is None else check_stream(stream)
        self.ignored = tuple(ignore)
        self.middleware = tuple(middleware)
        self._retries = retries
        self._backoff = backoff
        self._timeout = timeout
        self._handlers: dict[tuple[str | None, str], Handler] = {}

    def handler(
        self,
        type: str | None = None,
        *,
        stream: str | None = None,
        retries: int | None = None,
        backoff: Backoff | None = None,
        timeout: float | None = None,
        process: bool = False,
        batch: int = 0,
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Register a function as the handler of a job type. The function stays as it is.

        ``async def`` runs in the event loop, ``def`` in a thread, and ``def`` with
        ``process=True`` in a process of its own. Its arguments come from the job's data
        by name, validated against its annotations; one parameter of an
        :class:`~streamq.Event` class takes all of the data; a parameter annotated
        :class:`~streamq.Job` takes the job. What it returns is kept as the result.

        It may raise :class:`~streamq.Retry` for another attempt later and
        :class:`~streamq.Dead` to give the job up; any other exception is a failure, with
        further attempts as ``retries`` and ``backoff`` say.

        Args:
            type: the job type; by default that of the function's event, or else the
                function's name. ``*`` is every type that no other handler of the group takes.
            stream: the stream; the group's, or else the app's by default.
            retries: further attempts after a first one that failed, before the job goes to
                the dead letters. The group's by default, 3 where it names none.
            backoff: when they follow; exponential from 1 s to 300 s with full jitter by default.
            timeout: seconds that one attempt may take; no limit by default.
            process: run it in a process, for work that keeps a core busy.
            batch: call it with a list of up to that many jobs, ``def f(jobs: list[Job])``.

        Raises:
            ConfigError: the function or a rule cannot be used, or the type is taken.
        """

        def register(function: Callable[P, R]) -> Callable[P, R]:
            name = check_type(type if type is not None else _type_of(function))
            place = (self.stream if stream is None else check_stream(stream), name)
            known = self._handlers.get(place)
            if known is not None:
                raise ConfigError(
                    f"the type {name!r} has a handler already, {name_of(known.function)}"
                )
            self._handlers[place] = make_handler(
                name, function,
                retries=_first(retries, self._retries, RETRIES),
                backoff=backoff or self._backoff,
                timeout=self._timeout if timeout is None else timeout,
                process=process, batch=batch,
            )  # fmt: skip
            return function

        return register

    def streams(self, default: str) -> list[str]:
        """The streams that its handlers are for.

        Args:
            default: the one of those that name none.
        """
        return list(dict.fromkeys(stream or default for stream, _ in self._handlers))

    def handlers(self, stream: str, default: str) -> dict[str, Handler]:
        """Its handlers for one stream, by type."""
        return {
            type: handler
            for (own, type), handler in self._handlers.items()
            if (own or default) == stream
        }


class Group(Registry):
    """A consumer group: handlers that share their rules, and process every job of a stream once.

    Make it with :meth:`streamq.App.group`, or in a module of its own, joined to the app later::

        images = Group("images", retries=5, timeout=30)

        @images.handler("photo_added")
        async def make_thumbnail(file: Path) -> None: ...

        app.include(images)

    Args:
        name: letters, digits, ``_``, ``-`` and ``.``; 128 at most.
        stream: the stream of handlers that name none; the app's own by default.
        ignore: types, or patterns such as ``thumbnail_*``, that the group settles unseen. A
            type without a handler that is not ignored is a dead letter.
        retries: further attempts after a first one that failed; 3 by default.
        backoff: when they follow; exponential from 1 s to 300 s with full jitter by default.
        timeout: seconds that one attempt may take; no limit by default.
        concurrency: how many of its jobs run at once in one worker process; that of
            the worker by default.
        middleware: wraps the handling of each job, inside the app's own; the first is outermost.

    Raises:
        ConfigError: the name or a rule cannot be used.
    """

    def __init__(
        self,
        name: str,
        *,
        stream: str | None = None,
        ignore: Iterable[str] = (),
        retries: int | None = None,
        backoff: Backoff | None = None,
        timeout: float | None = None,
        concurrency: int | None = None,
        middleware: Sequence[Middleware] = (),
    ) -> None:
        super().__init__(
            stream=stream, ignore=ignore, retries=retries, backoff=backoff, timeout=timeout,
            middleware=middleware,
        )  # fmt: skip
        self.name = check_group(name)
        if concurrency is not None and concurrency < 1:
            raise ConfigError(f"the group {name}: concurrency={concurrency}: give one or more")
        self.concurrency = concurrency

    def __repr__(self) -> str:
        return f"<Group {self.name!r}>"


def check_found(*wanted: tuple[str, Sequence[str], set[str]]) -> None:
    """See whether there are handlers for what a worker is to consume.

    Args:
        wanted: what (``group``, ``stream``), the names asked for, those that have handlers.

    Raises:
        ConfigError: there are none for one of them, or none at all.
    """
    for what, names, known in wanted:
        missing = [name for name in names if name not in known]
        if missing:
            raise ConfigError(f"the app has no handler for the {what} {missing[0]!r}")
    if not any(known for _, _, known in wanted):
        raise ConfigError("the app has no handlers: register one with @app.handler(...)")


def name_of(function: Callable[..., Any]) -> str:
    """What to call a function in a message."""
    return str(getattr(function, "__name__", repr(function)))


def _type_of(function: Callable[..., Any]) -> str:
    from streamq.handlers.binding import event_of

    event = event_of(function)
    if event is not None:
        return event.__event_type__
    name = name_of(function)
    if not name.isidentifier():
        raise ConfigError(f"{name} has no name of its own: give the job type it handles")
    return name


def _first(*values: int | None) -> int:
    return next(value for value in values if value is not None)
