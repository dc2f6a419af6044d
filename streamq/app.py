"""The App: handlers, the server they work on, and what a program does with both."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from streamq.errors import ConfigError
from streamq.handlers.handler import ANY, Handler, make_handler
from streamq.process.eventloop import run_async
from streamq.process.gc import collect_less
from streamq.produce.producer import NewJob, Producer
from streamq.produce.replication import TIMEOUT, Replication
from streamq.retry import Backoff
from streamq.server import Server
from streamq.signals import Observer
from streamq.wire.entry import MAX_PAYLOAD, check_type
from streamq.wire.keys import check_group, check_stream
from streamq.worker import Handlers, Settings, Subscription, Worker
from streamq.worker.shutdown import end_with_main

if TYPE_CHECKING:
    from streamq.admin import Admin

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_STREAM = "jobs"
DEFAULT_GROUP = "default"


class App:
    """A set of handlers, and the server that their jobs are on.

    Args:
        url: ``redis://…``, ``rediss://…`` or ``unix://…``; without one, ``STREAMQ_URL``
            from the environment, and without that the embedded server.
        stream: the stream for everything that names no other.
        max_payload: bytes that the encoded data of one job may take.
        replicas: how many replicas must have acknowledged a job before a produce returns, for
            jobs that a failover is not to lose; each then takes the replicas' time as well.
        replica_timeout: seconds until :class:`~streamq.errors.NotReplicated` is raised. The
            job is written then all the same.
        lifespan: a function that returns an async context manager; a worker enters it
            before its first job and leaves it after its last.

    Raises:
        ConfigError: a name, a number or the URL cannot be used.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        stream: str = DEFAULT_STREAM,
        max_payload: int = MAX_PAYLOAD,
        replicas: int = 0,
        replica_timeout: float = TIMEOUT,
        lifespan: Callable[[], AbstractAsyncContextManager[object]] = nullcontext,
    ) -> None:
        self.url = url
        self.stream = check_stream(stream)
        self._max_payload = max_payload
        self._replication = Replication(replicas, replica_timeout) if replicas else None
        self._lifespan = lifespan
        self._handlers: dict[tuple[str, str | None], dict[str, Handler]] = {}
        self._ignored: dict[tuple[str, str | None], list[str]] = {}
        self._server: Server | None = None
        self._producer: Producer | None = None

    # -- handlers -------------------------------------------------------------

    def handler(
        self,
        type: str | None = None,
        *,
        group: str | None = None,
        stream: str | None = None,
        retries: int = 3,
        backoff: Backoff | None = None,
        timeout: float | None = None,
        process: bool = False,
        batch: int = 0,
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Register a function as the handler of a job type. The function stays as it is.

        ``async def`` runs in the event loop, ``def`` in a thread, and ``def`` with
        ``process=True`` in a process of its own. Its arguments come from the job's data
        by name, validated against its annotations; a parameter annotated
        :class:`~streamq.Job` takes the job. What it returns is kept as the result.

        It may raise :class:`~streamq.Retry` to be tried again later and
        :class:`~streamq.Dead` to give the job up; any other exception is a failure,
        tried again as ``retries`` and ``backoff`` say.

        Args:
            type: the job type; the function's name by default, ``*`` for every type
                that no other handler of the group takes.
            group: the consumer group; without one, whatever group a worker is started for.
            stream: the stream; the app's own by default.
            retries: tries after a first failure, before the job goes to the dead letters.
            backoff: when they follow; exponential from 1 s to 300 s with full jitter by default.
            timeout: seconds that one delivery may run.
            process: run it in a process, for work that keeps a core busy.
            batch: call it with a list of up to so many jobs, ``def f(jobs: list[Job])``.

        Raises:
            ConfigError: the function or a rule cannot be used, or the type is taken.
        """

        def register(function: Callable[P, R]) -> Callable[P, R]:
            name = check_type(type if type is not None else _name_of(function))
            if type is None and not name.isidentifier():
                raise ConfigError(f"{name} has no name of its own: give the job type it handles")
            place = self._place(stream, group)
            handlers = self._handlers.setdefault(place, {})
            if name in handlers:
                raise ConfigError(
                    f"the type {name!r} has a handler already, {_name_of(handlers[name].function)}"
                )
            handlers[name] = make_handler(
                name, function, retries=retries, backoff=backoff, timeout=timeout,
                process=process, batch=batch,
            )  # fmt: skip
            return function

        return register

    def ignore(self, *types: str, group: str | None = None, stream: str | None = None) -> None:
        """Let a group settle jobs of these types unseen, instead of calling them dead.

        Args:
            types: job types, or patterns such as ``thumbnail_*``.
        """
        self._ignored.setdefault(self._place(stream, group), []).extend(types)

    def subscriptions(
        self, groups: Sequence[str] = (), streams: Sequence[str] = ()
    ) -> list[Subscription]:
        """What a worker of this app consumes.

        Args:
            groups: only these; all that the handlers name by default. Handlers that
                name none serve in each of them.
            streams: only these; all that the handlers name by default.

        Raises:
            ConfigError: there is no handler for one of the groups or streams.
        """
        wanted_groups = [check_group(group) for group in groups]
        found: list[Subscription] = []
        for stream in dict.fromkeys(streams or [stream for stream, _ in self._handlers]):
            named = dict.fromkeys(g for s, g in self._handlers if s == stream and g is not None)
            for group in dict.fromkeys(wanted_groups or named or [DEFAULT_GROUP]):
                handlers = {
                    **self._handlers.get((stream, None), {}),
                    **self._handlers.get((stream, group), {}),
                }
                ignored = [
                    *self._ignored.get((stream, None), ()),
                    *self._ignored.get((stream, group), ()),
                ]
                if handlers:
                    found.append(Subscription(stream, group, Handlers(handlers.values(), ignored)))
        self._check_found(found, wanted_groups, streams)
        return found

    # -- jobs -----------------------------------------------------------------

    async def produce(
        self,
        type: str,
        data: Mapping[str, Any] | None = None,
        /,
        *,
        stream: str | None = None,
        key: str | None = None,
        delay: float | None = None,
        at: datetime | None = None,
        expires: float | None = None,
        **fields: Any,
    ) -> str:
        """Write one job and return its ID, or its schedule's name if it is for later::

            await app.produce("process_image", file="image_1.png")
            await app.produce("remind", user=7, delay=3600)
            await app.produce("archive", {"key": "a field that is called so"})

        Args:
            type: the job type.
            data: the data; more of it may be given by name.
            stream: where to; the app's own by default.
            key: an idempotency key: for a day, the same key writes nothing again and
                returns the first job's ID.
            delay: seconds until the job is written to the stream.
            at: when it is written, with a time zone.
            expires: seconds from its writing after which it is not run any more.

        Raises:
            StreamqError: see :meth:`streamq.produce.producer.Producer.produce`.
        """
        return await self.producer.produce(
            stream or self.stream, type, {**data, **fields} if data else fields,
            key=key, delay=delay, at=at, expires=expires,
        )  # fmt: skip

    async def produce_many(
        self,
        jobs: Iterable[NewJob] | AsyncIterable[NewJob],
        /,
        *,
        stream: str | None = None,
    ) -> list[str]:
        """Write many jobs, pipelined, and return their IDs in order.

        Args:
            jobs: pairs of type and data.
            stream: where to; the app's own by default.

        Raises:
            StreamqError: see :meth:`streamq.produce.producer.Producer.produce_many`.
        """
        return await self.producer.produce_many(stream or self.stream, jobs)

    # -- looking at jobs ------------------------------------------------------

    @property
    def admin(self) -> Admin:
        """Jobs, groups and dead letters: to look at, and to treat what is stuck."""
        from streamq.admin import Admin

        return Admin(self.server, allowed=self.deliveries_allowed)

    def deliveries_allowed(self, stream: str, group: str, type: str) -> int | None:
        """How many deliveries a job may have; ``None`` where the app has no handler for it."""
        try:
            [found] = self.subscriptions([group], [stream])
        except ConfigError:
            return None
        handler = found.handlers.find(type)
        return None if handler is None else handler.retries + 1

    # -- the server -----------------------------------------------------------

    @property
    def server(self) -> Server:
        """The server, found at its first use."""
        if self._server is None:
            self._server = Server(self.url)
        return self._server

    @property
    def producer(self) -> Producer:
        """What writes its jobs, with every option that there is, until :meth:`close`."""
        if self._producer is None:
            self._producer = Producer(self.server, self._max_payload, self._replication)
        return self._producer

    async def close(self) -> None:
        """Close the connections. The app can be used again."""
        if self._server is not None:
            await self._server.close()
            self._server = self._producer = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    # -- working --------------------------------------------------------------

    def worker(
        self,
        *,
        groups: Sequence[str] = (),
        streams: Sequence[str] = (),
        settings: Settings | None = None,
        observers: Sequence[Observer] = (),
        burst: bool = False,
        max_jobs: int | None = None,
    ) -> Worker:
        """A worker for this app's handlers; ``await worker.run()`` consumes.

        Args:
            groups: only these groups; all that the handlers name by default.
            streams: only these streams.
            settings: concurrency, lease and the like.
            observers: told of what happens.
            burst: stop when nothing is left.
            max_jobs: stop after so many deliveries.

        Raises:
            ConfigError: something cannot work as given.
        """
        return Worker(
            self.server, self.subscriptions(groups, streams), settings=settings,
            observers=observers, burst=burst, max_jobs=max_jobs, lifespan=self._lifespan,
        )  # fmt: skip

    def run(self, *, groups: Sequence[str] = (), settings: Settings | None = None) -> None:
        """Consume until SIGINT or SIGTERM, with logging; for ``if __name__ == "__main__"``.

        Raises:
            StreamqError: the server cannot be used at the start.
        """
        from streamq.observe.log import LogObserver

        async def main() -> None:
            async with self:
                worker = self.worker(groups=groups, settings=settings, observers=[LogObserver()])
                collect_less()
                await worker.run(signals=True)

        run_async(main)
        end_with_main()

    def _place(self, stream: str | None, group: str | None) -> tuple[str, str | None]:
        return (
            self.stream if stream is None else check_stream(stream),
            None if group is None else check_group(group),
        )

    def _check_found(
        self, found: Sequence[Subscription], groups: Sequence[str], streams: Sequence[str]
    ) -> None:
        for what, wanted, known in (
            ("group", groups, {subscription.group for subscription in found}),
            ("stream", streams, {subscription.stream for subscription in found}),
        ):
            missing = [name for name in wanted if name not in known]
            if missing:
                raise ConfigError(f"the app has no handler for the {what} {missing[0]!r}")
        if not found:
            raise ConfigError("the app has no handlers: register one with @app.handler(...)")


def _name_of(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", repr(function)))


__all__ = ["ANY", "DEFAULT_GROUP", "DEFAULT_STREAM", "App"]
