"""What to consume, on which server and how; the same for one process and for several."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamq.app import App
from streamq.cli.connection import connect, start_embedded
from streamq.cli.consume.printing import printing_handler
from streamq.cli.consume.streams import read_streams
from streamq.cli.loading import find_app
from streamq.errors import ConfigError
from streamq.limits import CONCURRENCY, DEFAULT_GROUP, DEFAULT_STREAM, METRICS_PORT, RETRIES
from streamq.worker import Handlers, Settings, Subscription, Worker, weighted

if TYPE_CHECKING:
    from streamq.cli.consume.options import ConsumeOptions
    from streamq.cli.consume.printing import Output
    from streamq.handlers.handler import Handler
    from streamq.observe.prometheus import Metrics
    from streamq.server import Server
    from streamq.signals import Observer


@dataclass(frozen=True)
class Plan:
    """What to consume, and how.

    Attributes:
        url: the server's; ``None`` for the App's own, or the default.
        groups: only these, or with a handler these; empty for the App's own, or the default.
        streams: likewise; with weights, stream → weight.
        strict: whether they share the slots in their order.
        work: the App whose handlers run, or the handler for every job.
        prints: whether that handler only prints.
        burst: whether to stop when nothing is left.
        max_jobs: deliveries after which to stop.
        processes: how many processes do this.
        metrics_port: 0 for no metrics, ``None`` for the first port that is free.
        metrics_host: the address for that.
        stuck_after: seconds after which an event loop that does not turn counts as stuck.
    """

    url: str | None
    groups: Sequence[str]
    streams: Sequence[str] | Mapping[str, int]
    strict: bool
    work: App | Handler
    prints: bool
    settings: Settings
    burst: bool
    max_jobs: int | None
    processes: int
    metrics_port: int | None
    metrics_host: str
    stuck_after: float

    @asynccontextmanager
    async def server(self) -> AsyncIterator[Server]:
        """The server, closed at the end."""
        if isinstance(self.work, App):
            self.work.url = self.url or self.work.url
            start_embedded(self.work.url)
            async with self.work:
                yield self.work.server
        else:
            async with connect(self.url) as server:
                yield server

    def subscriptions(self) -> list[Subscription]:
        """Which groups of which streams, and their handlers.

        Raises:
            ConfigError: the App has no handlers for them.
        """
        if isinstance(self.work, App):
            found = self.work.subscriptions(self.groups, list(self.streams))
            return weighted(found, self.streams)
        handlers = Handlers([self.work])
        found = [
            Subscription(stream, group, handlers)
            for stream in dict.fromkeys(self.streams or [DEFAULT_STREAM])
            for group in dict.fromkeys(self.groups or [DEFAULT_GROUP])
        ]
        return weighted(found, self.streams)

    def worker(
        self,
        server: Server,
        subscriptions: Sequence[Subscription],
        observers: Sequence[Observer],
    ) -> Worker:
        """A worker for one process."""
        if isinstance(self.work, App):
            return self.work.worker(
                groups=self.groups, streams=self.streams, strict=self.strict,
                settings=self.settings, observers=observers, burst=self.burst,
                max_jobs=self.max_jobs,
            )  # fmt: skip
        return Worker(
            server, subscriptions, settings=self.settings, strict=self.strict,
            observers=observers, burst=self.burst, max_jobs=self.max_jobs,
        )  # fmt: skip

    def serve(self, metrics: Metrics) -> None:
        """Serve metrics, unless none are wanted.

        Raises:
            ConfigError: the port is in use.
        """
        given = self.metrics_port
        if given == 0:
            return
        try:
            port = METRICS_PORT if given is None else given
            metrics.serve(self.metrics_host, port, next_free=given is None)
        except ConfigError as error:
            raise ConfigError(f"{error} (--metrics-port, --metrics-host)") from None


def make_plan(options: ConsumeOptions, output: Output, *, url: str | None) -> Plan:
    """What the options come to.

    Args:
        output: where a program's output or the jobs themselves go.
        url: the server's; ``None`` for the App's own, or the default.

    Raises:
        ConfigError: the App or the program cannot be used, or not with these options.
    """
    work = _work(options, output)
    prints = options.command is None and not isinstance(work, App)
    concurrency = CONCURRENCY if options.command is None else os.cpu_count() or 1
    return Plan(
        url=url,
        groups=options.groups or [],
        streams=read_streams(options.streams or [], strict=options.strict),
        strict=options.strict,
        work=work,
        prints=prints,
        settings=Settings(
            concurrency=options.concurrency or concurrency,
            lease=options.lease,
            result_ttl=options.result_ttl,
            history=options.history,
            # A job that cannot be printed has nothing to wait for.
            grace=0 if prints else options.grace,
            start=options.start,
        ),
        burst=options.burst,
        max_jobs=options.max_jobs,
        processes=options.processes,
        metrics_port=options.metrics_port,
        metrics_host=options.metrics_host,
        stuck_after=options.stuck_after,
    )


def _work(options: ConsumeOptions, output: Output) -> App | Handler:
    app = find_app(options.app) if options.command is None else None
    if app is not None:
        for name, value in (("retries", options.retries), ("timeout", options.timeout)):
            if value is not None:
                raise ConfigError(f"--{name} is not for an App: write @app.handler(..., {name}=…)")
        return app
    retries = RETRIES if options.retries is None else options.retries
    if options.command is None:
        return printing_handler(output, retries=retries, timeout=options.timeout)
    from streamq.programs.handler import exec_handler

    return exec_handler(
        options.command, retries=retries, timeout=options.timeout, output=output.relay
    )
