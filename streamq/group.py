"""A consumer group: its handlers, and what they share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, ParamSpec, TypedDict, TypeVar, Unpack

from streamq.codec import Codec, encode_with
from streamq.errors import ConfigError
from streamq.flow.rules import OnFailure, Rules
from streamq.handlers.handler import ANY, Handler, make_handler
from streamq.limits import MISSED, RETRIES
from streamq.middleware import Middleware
from streamq.produce.periodic import Missed, Overlap, Schedule, check_name, make_schedule
from streamq.retry import Backoff
from streamq.wire.entry import check_type
from streamq.wire.keys import check_group, check_stream

P = ParamSpec("P")
R = TypeVar("R")


class HandlerOptions(TypedDict, total=False):
    """The options of a handler beside its type; see :meth:`Registry.handler`."""

    stream: str | None
    retries: int | None
    backoff: Backoff | None
    timeout: float | None
    process: bool
    batch: int
    batch_wait: float
    batch_by_key: bool


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
        self._home = self.stream
        """The stream of handlers that name none; ``None`` for the app's."""
        self.ignored = tuple(ignore)
        self.middleware = tuple(middleware)
        self._retries = retries
        self._backoff = backoff
        self._timeout = timeout
        self._handlers: dict[tuple[str | None, str], Handler] = {}
        self._schedules: dict[tuple[str | None, str], tuple[Schedule, Mapping[str, Any]]] = {}
        self._only_for: str | None = None

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
        batch_wait: float = 0.0,
        batch_by_key: bool = False,
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
            batch_wait: seconds that the first job of a batch waits for it to be full; by default
                a batch is what is there.
            batch_by_key: let all jobs of a batch have the same order key, or none.

        Raises:
            ConfigError: the function or a rule cannot be used, or the type is taken.
        """

        def register(function: Callable[P, R]) -> Callable[P, R]:
            name = check_type(type if type is not None else _type_of(function))
            place = (self._home if stream is None else check_stream(stream), name)
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
                process=process, batch=batch, batch_wait=batch_wait, batch_by_key=batch_by_key,
            )  # fmt: skip
            return function

        return register

    def cron(
        self,
        expression: str,
        *,
        tz: str = "UTC",
        type: str | None = None,
        data: Mapping[str, Any] | None = None,
        name: str | None = None,
        missed: Missed = "latest",
        most: int = MISSED,
        overlap: Overlap = "allow",
        key: str | None = None,
        expires: float | None = None,
        **options: Unpack[HandlerOptions],
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Register a function as a handler, and have a job written for it at certain times::

            @reports.cron("0 7 * * MON", tz="Europe/Berlin")
            async def weekly_report() -> None: ...

        However many workers there are, each tick is one job. A job of a group's schedule is for
        that group alone; one of the app's is for every group, as any job is.

        Args:
            expression: minute, hour, day of month, month and day of week, in Debian's form; or six
                fields, with seconds in front.
            tz: the time zone in which it is read, such as ``Europe/Berlin``.
            type: the job type, as for :meth:`handler`.
            data: the data of each job.
            name: the schedule's name, by which it is paused; the type by default, with the
                group's name in front: ``reports.weekly_report``.
            missed: what becomes of ticks at which no worker was there: the ``latest`` of them is
                made up for, ``all`` are, or none, ``skip`` (a tick may be a minute late).
            most: with ``all``, how many at most; the latest.
            overlap: ``skip`` to write no job while the last one is not settled.
            key: the order key of each job.
            expires: seconds after which a job is not run.
            options: those of :meth:`handler`.

        Raises:
            ConfigError: the function, the expression or an option cannot be used.
        """
        schedule = make_schedule(
            "-", "", cron=expression, tz=tz, group=self._only_for, key=key, expires=expires,
            missed=missed, most=most, overlap=overlap, declared=True,
        )  # fmt: skip
        return self._scheduled(schedule, type, name, data, options)

    def every(
        self,
        interval: timedelta | float,
        *,
        type: str | None = None,
        data: Mapping[str, Any] | None = None,
        name: str | None = None,
        missed: Missed = "latest",
        most: int = MISSED,
        overlap: Overlap = "allow",
        key: str | None = None,
        expires: float | None = None,
        **options: Unpack[HandlerOptions],
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Register a function as a handler, and have a job written for it at an interval::

            @health.every(timedelta(seconds=30))
            async def ping() -> None: ...

        The interval is counted from 1970 on, so that all workers agree: every five minutes is at
        five past, at ten past, and so on. See :meth:`cron` for the other arguments.

        Args:
            interval: a timedelta, or seconds; one second or more.

        Raises:
            ConfigError: the function, the interval or an option cannot be used.
        """
        schedule = make_schedule(
            "-", "", every=interval, group=self._only_for, key=key, expires=expires,
            missed=missed, most=most, overlap=overlap, declared=True,
        )  # fmt: skip
        return self._scheduled(schedule, type, name, data, options)

    def _scheduled(
        self,
        schedule: Schedule,
        type: str | None,
        name: str | None,
        data: Mapping[str, Any] | None,
        options: HandlerOptions,
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        def register(function: Callable[P, R]) -> Callable[P, R]:
            own = type if type is not None else _type_of(function)
            if own == ANY:
                raise ConfigError("type='*': a job has one type: give that of the schedule's jobs")
            called = own if self._only_for is None else f"{self._only_for}.{own}"
            named = replace(schedule, name=check_name(called if name is None else name), type=own)
            stream = options.get("stream")
            place = (self.stream if stream is None else stream, named.name)
            if place in self._schedules:
                raise ConfigError(f"name={named.name!r}: there is a schedule of that name already")
            self.handler(own, **options)(function)
            self._schedules[place] = (named, {} if data is None else data)
            return function

        return register

    def schedules(self, stream: str, default: str, codec: Codec | None = None) -> list[Schedule]:
        """Its periodic jobs for one stream.

        Args:
            default: the stream of those that name none.
            codec: writes their data.

        Raises:
            PayloadError: the data of one cannot be written.
        """
        return [
            replace(schedule, raw=encode_with(codec, data))
            for (own, _), (schedule, data) in self._schedules.items()
            if (own or default) == stream
        ]

    def streams(self, defaults: Sequence[str]) -> list[str]:
        """The streams that its handlers are for.

        Args:
            defaults: those of handlers that name none.
        """
        named = [[stream] if stream else defaults for stream, _ in self._handlers]
        return list(dict.fromkeys(stream for streams in named for stream in streams))

    def handlers(self, stream: str, defaults: Sequence[str]) -> dict[str, Handler]:
        """Its handlers for one stream, by type; one that names the stream goes before others."""
        known = self._handlers.items()
        found = {type: one for (own, type), one in known if own is None and stream in defaults}
        return found | {type: one for (own, type), one in known if own == stream}


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
        self.name = self._only_for = check_group(name)
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


def schedules_of(
    registries: Iterable[Registry], stream: str, default: str, codec: Codec | None
) -> list[Schedule]:
    """The periodic jobs of several registries for one stream; see :meth:`Registry.schedules`.

    Raises:
        ConfigError: two have the same name.
        PayloadError: the data of one cannot be written.
    """
    found: dict[str, Schedule] = {}
    for registry in registries:
        for schedule in registry.schedules(stream, default, codec):
            if schedule.name in found:
                raise ConfigError(
                    f"name={schedule.name!r}: two schedules for the stream {stream!r} have this "
                    "name; give one of them another"
                )
            found[schedule.name] = schedule
    return [*found.values()]


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
