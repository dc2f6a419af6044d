"""A consumer group: its handlers, and what they share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ParamSpec, TypeVar

from streamq.errors import ConfigError
from streamq.flow.rules import OnFailure, Rules
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
        order: run jobs of one key one by one, in the order in which they were written.
        limit_per_key: how many jobs of one key may be in flight, over all workers.
        rate: how fast its jobs may start, over all workers: ``100/s``, ``5/min``, ``1000/h burst
            50``. Evenly spread; after a rest, ``burst`` of them at once.
        rate_per_key: how fast jobs of one key may start.
        max_in_flight: how many of its jobs may be in flight, over all workers.
        key_from: the field of the data that is the key, such as ``customer.id``; by default the
            key that the job was produced with. Jobs without a key wait for no other.
        on_failure: with ``order``, ``block`` lets the key wait for a job's retry, ``skip`` lets the
            next one run meanwhile.
        max_held: how many jobs may be held back before the group reads no more; a million by
            default.

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
        order: bool = False,
        limit_per_key: int | None = None,
        rate: str | None = None,
        rate_per_key: str | None = None,
        max_in_flight: int | None = None,
        key_from: str | None = None,
        on_failure: OnFailure = "block",
        max_held: int | None = None,
    ) -> None:
        super().__init__(
            stream=stream, ignore=ignore, retries=retries, backoff=backoff, timeout=timeout,
            middleware=middleware,
        )  # fmt: skip
        self.name = check_group(name)
        if concurrency is not None and concurrency < 1:
            raise ConfigError(f"the group {name}: concurrency={concurrency}: give one or more")
        self.concurrency = concurrency
        try:
            self.rules = Rules.make(
                order=order, limit_per_key=limit_per_key, rate=rate, rate_per_key=rate_per_key,
                max_in_flight=max_in_flight, key_from=key_from, on_failure=on_failure,
                max_held=max_held,
            )  # fmt: skip
        except ConfigError as error:
            raise ConfigError(f"the group {name}: {error}") from None

    def __repr__(self) -> str:
        return f"<Group {self.name!r}>"


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
