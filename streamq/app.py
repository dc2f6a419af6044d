"""The App: the server, the groups that work on it, and what a program does with both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from streamq.app_producing import AppProducing
from streamq.codec import Codec
from streamq.errors import ConfigError
from streamq.flow.rules import OnFailure, Rules, merged
from streamq.group import Group, Registry, name_of, schedules_of
from streamq.handlers.handler import ANY, Handler
from streamq.job import job_class
from streamq.limits import DEFAULT_GROUP, DEFAULT_STREAM, FULL_TIMEOUT, REPLICA_TIMEOUT
from streamq.middleware import Instrumentation, Middleware, ProduceMiddleware
from streamq.offload import Offload, check_offload, largest_payload, store_of
from streamq.partitions import Partitioned, check_partitioned
from streamq.priorities import Priorities
from streamq.process.eventloop import run_async
from streamq.process.gc import collect_less
from streamq.produce.backpressure import MaxBacklog, OnFull, backpressure_of
from streamq.produce.partitioned import Partitions
from streamq.produce.producer import Producer
from streamq.produce.replication import Replication
from streamq.retry import Backoff
from streamq.server import Server
from streamq.server.address import default_url
from streamq.server.topology import as_cluster, is_cluster
from streamq.signals import Observer
from streamq.wire.keys import check_group
from streamq.worker import Handlers, Settings, Subscription, Worker, check_found, weighted
from streamq.worker.retention import Retain, Retention
from streamq.worker.shutdown import end_with_main

if TYPE_CHECKING:
    from streamq.admin import Admin


M = TypeVar("M")


class App(Registry, AppProducing):
    """The groups that work on a server's streams, and the way to write jobs to them.

    Args:
        url: ``redis://…``, ``rediss://…`` or ``unix://…``, ``redis+cluster://…`` or
            ``redis+sentinel://…``; without one, ``STREAMQ_URL`` from the environment, and
            without that the embedded server.
        stream: the stream for everything that names no other.
        streams: those that have several partitions, ``{"jobs": Partitioned(8)}``.
        priorities: names for the streams of more and less urgent jobs, ``{"high": "urgent"}``.
            Handlers that name no stream work on these, too.
        ignore: types, or patterns such as ``thumbnail_*``, that every group settles unseen.
        middleware: wraps the handling of each job in every group; the first is outermost. An
            :class:`~streamq.middleware.Instrumentation` also wraps batches and the producing.
        produce_middleware: wraps the producing of each job; the first is outermost.
        codec: how data is written and read (:class:`~streamq.codec.Codec`); JSON by default.
        max_payload: bytes that encoded data may take; 1 MiB by default, 64 MiB with ``offload``.
        offload: bytes above which encoded data is kept outside the stream, beside it; or where
            else (:class:`~streamq.offload.Offload`).
        replicas: how many replicas must have acknowledged a job before a produce returns, for
            jobs that a failover must not lose; each then takes the replicas' time as well.
        replica_timeout: seconds until :class:`~streamq.errors.NotReplicated` is raised. The
            job is written then all the same.
        max_backlog: how many jobs of a stream may wait to be settled before it is full: a
            number, or a mapping by stream. Jobs for later and emitted events always fit.
        on_full: ``"error"`` raises :class:`~streamq.errors.BacklogFull`, ``"wait"`` waits for
            room, ``full_timeout`` seconds at most; ``None`` for as long as it takes.
        retain: how long entries are kept that every group has settled, for groups that come
            later: seconds or ``"7d"``, or a mapping by stream; ``None`` for what the stream says.
        lifespan: a function that returns an async context manager; a worker enters it
            before its first job and leaves it after its last.
        cluster: whether ``redis://`` and ``rediss://`` lead to a Cluster, as
            ``redis+cluster://`` does.

    Raises:
        ConfigError: a name, a number or the URL cannot be used.
    """

    stream: str

    def __init__(
        self,
        url: str | None = None,
        *,
        stream: str = DEFAULT_STREAM,
        streams: Mapping[str, Partitioned] | None = None,
        priorities: Mapping[str, str] | None = None,
        ignore: Iterable[str] = (),
        middleware: Sequence[Middleware] = (),
        produce_middleware: Sequence[ProduceMiddleware | Instrumentation] = (),
        codec: Codec | None = None,
        max_payload: int | None = None,
        offload: int | Offload | None = None,
        replicas: int = 0,
        replica_timeout: float = REPLICA_TIMEOUT,
        max_backlog: MaxBacklog = None,
        on_full: OnFull = "error",
        full_timeout: float | None = FULL_TIMEOUT,
        retain: Retain = None,
        lifespan: Callable[[], AbstractAsyncContextManager[object]] | None = None,
        cluster: bool = False,
    ) -> None:
        Registry.__init__(self, stream=stream, ignore=ignore, middleware=middleware)
        AppProducing.__init__(self)
        self.url = as_cluster(url or default_url()) if cluster else url
        self.priorities = Priorities(priorities or {})
        if priorities:
            self._home = None  # not one stream, but each of these
        self._streams = tuple(dict.fromkeys([self.stream, *self.priorities.streams]))
        around_all = [one for one in self.middleware if isinstance(one, Instrumentation)]
        self._produce_middleware = (*around_all, *produce_middleware)
        self._partitioned = check_partitioned(streams)
        self.codec = codec
        self.offload = check_offload(offload)
        self.max_payload = largest_payload(max_payload, self.offload)
        self._replication = Replication(replicas, replica_timeout) if replicas else None
        self._backpressure = backpressure_of(max_backlog, on_full, full_timeout)
        self._retention = Retention(retain)
        self._lifespan = lifespan
        self._groups: list[Group] = []
        self._server: Server | None = None
        self._producer: Producer | None = None

    # -- groups ---------------------------------------------------------------

    def group(
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
    ) -> Group:
        """Make a consumer group of this app; see :class:`~streamq.Group` for the rules.

        A name may be used more than once, in several modules say: these are one group to the
        server, each with the rules of its own handlers.

        Raises:
            ConfigError: the name or a rule cannot be used.
        """
        group = Group(
            name, stream=stream, ignore=ignore, retries=retries, backoff=backoff,
            timeout=timeout, concurrency=concurrency, middleware=middleware, order=order,
            limit_per_key=limit_per_key, rate=rate, rate_per_key=rate_per_key,
            max_in_flight=max_in_flight, key_from=key_from, on_failure=on_failure,
            max_held=max_held,
        )  # fmt: skip
        self._groups.append(group)
        return group

    def include(self, *groups: Group) -> None:
        """Let groups that were made elsewhere work in this app. Twice is once."""
        for group in groups:
            if group not in self._groups:
                self._groups.append(group)

    @property
    def groups(self) -> tuple[Group, ...]:
        """Its groups: made with :meth:`group`, or included."""
        return tuple(self._groups)

    def subscriptions(
        self, groups: Sequence[str] = (), streams: Sequence[str] = ()
    ) -> list[Subscription]:
        """What a worker of this app consumes.

        Args:
            groups: only these; all groups of the app by default. Handlers of
                ``@app.handler`` serve in each of them.
            streams: only these; all that the handlers are for by default.

        Raises:
            ConfigError: there is no handler for one of the groups or streams, or two for
                one type.
        """
        wanted = [check_group(group) for group in groups]
        registries: list[Registry] = [self, *self._groups]
        known = dict.fromkeys(s for one in registries for s in one.streams(self._streams))
        found: list[Subscription] = []
        for stream in dict.fromkeys(streams or known):
            named = [g.name for g in self._groups if stream in g.streams(self._streams)]
            for group in dict.fromkeys(wanted or named or [DEFAULT_GROUP]):
                handlers = self._handlers_of(stream, group)
                if handlers is not None:
                    own = [self, *(one for one in self._groups if one.name == group)]
                    schedules = schedules_of(own, stream, self.stream, self.codec)
                    found.append(
                        Subscription(
                            stream, group, handlers, self._concurrency(group), self._rules(group),
                            schedules,
                        )
                    )  # fmt: skip
        check_found(found, wanted, streams)
        return found

    def _handlers_of(self, stream: str, group: str) -> Handlers | None:
        """The handlers of a group for a stream; those of the group go before the app's own."""
        own: dict[str, Handler] = {}
        members = [one for one in self._groups if one.name == group]
        for one in members:
            for type, handler in one.handlers(stream, self._streams).items():
                if type in own:
                    raise ConfigError(
                        f"the group {group} has two handlers for the type {type!r}: "
                        f"{name_of(own[type].function)} and {name_of(handler.function)}"
                    )
                around = map(self._own, [*self.middleware, *one.middleware])
                own[type] = handler.wrapped([*around])
        everywhere = self.handlers(stream, self._streams)
        for type, handler in everywhere.items():
            if type not in own:
                own[type] = handler.wrapped([*map(self._own, self.middleware)])
        if not own:
            return None
        ignored = [pattern for one in (self, *members) for pattern in one.ignored]
        made = job_class(
            self.codec, self.priorities, self.offload, self.max_payload,
            cluster=is_cluster(self.url or default_url() or ""),
        )  # fmt: skip
        return Handlers(own.values(), ignored, made)

    def _own(self, middleware: M) -> M:
        """The middleware as it works for this app."""
        return middleware.for_app(self) if isinstance(middleware, Instrumentation) else middleware

    def _rules(self, group: str) -> Rules:
        return merged(group, [g.rules for g in self._groups if g.name == group])

    def _concurrency(self, group: str) -> int | None:
        return max(
            (g.concurrency for g in self._groups if g.name == group and g.concurrency),
            default=None,
        )

    # -- looking at jobs ------------------------------------------------------

    @property
    def admin(self) -> Admin:
        """Jobs, groups and dead letters: to look at, and to treat what is stuck."""
        from streamq.admin import Admin

        store = store_of(self.offload)
        return Admin(self.server, allowed=self.max_attempts, codec=self.codec, store=store)

    def max_attempts(self, stream: str, group: str, type: str) -> int | None:
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
    def peer(self) -> tuple[str, int | None] | None:
        """Host and port of its server, or the path of its socket and ``None``.

        ``None`` before the server's first use: only to ask does not start one.
        """
        return None if self._server is None else self._server.peer

    @property
    def producer(self) -> Producer:
        """What writes its jobs, until :meth:`close`."""
        if self._producer is None:
            around = [self._own(one) for one in self._produce_middleware]
            partitions = None
            if self._partitioned:
                partitions = Partitions(self.server, self._partitioned)
            self._producer = Producer(
                self.server, self.max_payload, self._replication, around, self.codec, self.offload,
                self._backpressure, partitions,
            )  # fmt: skip
        return self._producer

    async def close(self) -> None:
        """Close the connections. The app can be used again."""
        await self._close_results()
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
        streams: Sequence[str] | Mapping[str, int] = (),
        strict: bool = False,
        settings: Settings | None = None,
        observers: Sequence[Observer] = (),
        burst: bool = False,
        max_jobs: int | None = None,
    ) -> Worker:
        """A worker for this app's handlers; ``await worker.run()`` consumes.

        Args:
            groups: only these groups; all that the handlers name by default.
            streams: only these streams. With weights, ``{"urgent": 9, "jobs": 1}``, they share
                the concurrency of each group: of ten jobs nine are urgent, while there are such.
            strict: let them share it in the order given: a lower one only when the higher ones
                have nothing.
            settings: concurrency, lease and the like.
            observers: called with each signal of what happens.
            burst: stop when nothing is left.
            max_jobs: stop after this many deliveries.

        Raises:
            ConfigError: something cannot work as given.
        """
        if strict and not streams:
            raise ConfigError("strict=True goes by the order of the streams: give streams=[…]")
        return Worker(
            self.server, weighted(self.subscriptions(groups, list(streams)), streams),
            settings=settings, observers=observers, burst=burst, max_jobs=max_jobs, strict=strict,
            lifespan=self._lifespan, retention=self._retention, partitioned=self._partitioned,
        )  # fmt: skip

    def run(self, *, groups: Sequence[str] = (), settings: Settings | None = None) -> None:
        """Consume until SIGINT or SIGTERM, with logging; for ``if __name__ == "__main__"``.

        Raises:
            StreamqError: the server cannot be used at the start.
        """
        from streamq.observe.log_lines import LogObserver

        async def main() -> None:
            async with self:
                worker = self.worker(groups=groups, settings=settings, observers=[LogObserver()])
                collect_less()
                await worker.run(signals=True)

        run_async(main)
        end_with_main()


__all__ = ["ANY", "DEFAULT_GROUP", "DEFAULT_STREAM", "App"]
