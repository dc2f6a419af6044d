"""The collector that Prometheus scrapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from streamq.errors import ConfigError
from streamq.limits import LEASE, METRICS_PORT, STUCK_AFTER
from streamq.observe.prometheus import backlog, health, http, rows, series
from streamq.server import Server
from streamq.signals import Signal
from streamq.worker import Subscription


class Metrics(Collector):
    """An observer that counts, and a collector that Prometheus can scrape.

    It belongs to one event loop: the workers that it observes must share one.

    Args:
        server: asked for the gauges; a connection is opened for each scrape.
        subscriptions: what the workers consume. Job types without a handler of their
            own are counted under the type ``*``.
        registry: where to register; by default a registry of its own, which also has the
            metrics of the process (CPU, memory, open files).
        lease: the workers' lease in seconds, within which a live consumer is heard of.
        stuck_after: seconds after which an event loop that does not turn counts as stuck:
            an ``async`` handler that blocks it for longer makes ``/healthz`` say so.

    Attributes:
        registry: it, for those who serve it themselves.
    """

    def __init__(
        self,
        server: Server,
        subscriptions: Sequence[Subscription],
        *,
        registry: CollectorRegistry | None = None,
        lease: float = LEASE,
        stuck_after: float = STUCK_AFTER,
    ) -> None:
        groups: dict[str, list[str]] = {}
        for subscription in subscriptions:
            groups.setdefault(subscription.stream, []).append(subscription.group)
        self._series = series.Series(subscriptions)
        self._inquiry = backlog.Inquiry(server, groups, lease)
        self._stuck_after = stuck_after
        self._http: http.HTTPServer | None = None
        if registry is None:
            registry = CollectorRegistry()
            ProcessCollector(registry=registry)
        self.registry = registry
        try:
            registry.register(self)
        except ValueError:
            raise ConfigError(
                "the registry has streamq's metrics already: use one Metrics for all workers, "
                "or a registry for each"
            ) from None
        self._registered = True

    def __call__(self, event: Signal) -> None:
        """Take note of an event."""
        self._series(event)

    def counts(self) -> rows.Counts:
        """What the workers did so far."""
        return self._series.counts()

    def healths(self) -> Mapping[str, health.Health]:
        """How the workers are; called at each scrape and probe, from any thread."""
        return {"worker": health.health_of(self._series.vitals.numbers(), self._stuck_after)}

    # -- scraping -------------------------------------------------------------

    def collect(self) -> Iterator[Metric]:
        """All metrics as they are now; called at each scrape, from any thread."""
        yield from rows.families(self.counts())
        yield health.ready_family(self.healths())
        up = self._inquiry.ask()
        yield from backlog.families(self._inquiry.latest, up=up)

    def describe(self) -> Iterator[Metric]:
        """The names, without asking the server; called when it is registered."""
        yield from rows.families(self._series.counts())
        yield health.ready_family({})
        yield from backlog.families({}, up=False)

    # -- serving --------------------------------------------------------------

    @property
    def url(self) -> str | None:
        """Where :meth:`serve` serves it, ``None`` when it does not."""
        return None if self._http is None else self._http.url

    def serve(
        self, host: str = "127.0.0.1", port: int = METRICS_PORT, *, next_free: bool = False
    ) -> str:
        """Serve the metrics over HTTP, in a thread, until :meth:`close`.

        ``/metrics`` has them; ``/healthz`` tells whether the event loop turns, and ``/readyz``
        whether the workers work. Anybody who reaches the address can read them.

        Args:
            host: the address to listen at; ``0.0.0.0`` for all.
            port: the port; 0 for any that is free.
            next_free: take the next free port where this one is in use.

        Returns:
            Where: ``http://127.0.0.1:8000/metrics``.

        Raises:
            ConfigError: it cannot listen there, such as when the port is in use.
        """
        if self._http is not None:
            raise ConfigError(f"the metrics are served already, at {self._http.url}")
        self._http = http.serve(
            self.registry, host, port, next_free=next_free,
            probes={
                "/healthz": lambda: health.is_alive(self.healths()),
                "/readyz": lambda: health.is_ready(self.healths()),
            },
        )  # fmt: skip
        return self._http.url

    def close(self) -> None:
        """Stop serving, free the port, and leave the registry. A second time does nothing."""
        if self._http is not None:
            self._http.close()
            self._http = None
        if self._registered:
            self._registered = False
            self.registry.unregister(self)
