"""The metrics of all streams and groups on a server, from one process for a whole deployment."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NotInTime

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from streamq.admin import Admin, Snapshot
from streamq.errors import ConfigError, StreamqError
from streamq.limits import EXPORTER_INTERVAL, EXPORTER_PORT, LEASE
from streamq.observe.prometheus import backlog, http
from streamq.observe.prometheus.health import Answer
from streamq.server import Server
from streamq.text import printable

PICTURE_TIMEOUT = 8.0
"""Seconds that the server has for one picture; Prometheus gives a scrape ten by default."""

LOOP_TIMEOUT = 5.0
"""Seconds that the exporter's own event loop has to answer a probe."""

_log = logging.getLogger("streamq")


class Exporter(Collector):
    """A collector of what a server holds: all its streams and groups, whoever works on them.

    It keeps one connection, in a thread of its own, and asks only when it is scraped.

    Args:
        server: whose streams.
        streams: these; ``None`` for all that there are, new ones included.
        interval: seconds for which an answer of the server serves all scrapes.
        lease: the workers' lease in seconds, within which a live consumer is heard of.
        registry: where to register; by default a registry of its own, which also has the
            metrics of the process.

    Attributes:
        registry: it, for those who serve it themselves.

    Raises:
        ConfigError: one of them cannot be used.
    """

    def __init__(
        self,
        server: Server,
        streams: Sequence[str] | None = None,
        *,
        interval: float = EXPORTER_INTERVAL,
        lease: float = LEASE,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self._pictures = _Pictures(server, streams, interval, lease)
        self._http: http.HTTPServer | None = None
        if registry is None:
            registry = CollectorRegistry()
            ProcessCollector(registry=registry)
        self.registry = registry
        registry.register(self)

    def look(self) -> Snapshot | None:
        """The latest picture, a new one if that is older than the interval; ``None`` before
        the server has answered for the first time."""
        self._pictures.ask()
        return self._pictures.latest

    # -- scraping -------------------------------------------------------------

    def collect(self) -> Iterator[Metric]:
        """All metrics as they are now; called at each scrape, from any thread."""
        up = self._pictures.ask()
        yield from _families(self._pictures.latest, up=up, seconds=self._pictures.seconds)

    def describe(self) -> Iterator[Metric]:
        """The names, without asking the server; called when it is registered."""
        yield from _families(None, up=False, seconds=0.0)

    # -- serving --------------------------------------------------------------

    @property
    def url(self) -> str | None:
        """Where :meth:`serve` serves it, ``None`` when it does not."""
        return None if self._http is None else self._http.url

    def serve(self, host: str = "127.0.0.1", port: int = EXPORTER_PORT) -> str:
        """Serve the metrics over HTTP, in a thread, until :meth:`close`.

        ``/metrics`` has them; ``/healthz`` tells whether the exporter works, and ``/readyz``
        whether it has its server. Anybody who reaches the address can read them.

        Args:
            host: the address to listen at; ``0.0.0.0`` for all.
            port: the port; 0 for any that is free.

        Returns:
            Where: ``http://127.0.0.1:8001/metrics``.

        Raises:
            ConfigError: it cannot listen there, such as when the port is in use.
        """
        if self._http is not None:
            raise ConfigError(f"the metrics are served already, at {self._http.url}")
        self._http = http.serve(
            self.registry, host, port, next_free=False,
            probes={"/healthz": self._pictures.is_alive, "/readyz": self._pictures.is_ready},
        )  # fmt: skip
        return self._http.url

    def close(self) -> None:
        """Stop serving, free the port, and leave the registry. A second time does nothing."""
        if self._pictures.close():
            self.registry.unregister(self)
        if self._http is not None:
            self._http.close()
            self._http = None


class _Pictures:
    """Takes pictures of the server when asked, and not more often than once in an interval."""

    def __init__(
        self, server: Server, streams: Sequence[str] | None, interval: float, lease: float
    ) -> None:
        self.latest: Snapshot | None = None
        self.seconds = 0.0
        """How long the server took for it."""
        self._server = server.separate("streamq-exporter")
        self._streams = streams
        self._interval = interval
        self._lease = lease
        self._up: bool | None = None
        self._asked_at = -1e9
        self._forbidden: set[str] = set()
        self._watch = self._begin()
        self._taking: Future[None] | None = None
        self._one_at_a_time = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="streamq-exporter", daemon=True
        )
        self._thread.start()

    def ask(self) -> bool:
        """Bring :attr:`latest` up to date, unless it is; whether the server has answered."""
        with self._one_at_a_time:
            loop = self._loop
            if loop is None:
                return False
            if time.monotonic() - self._asked_at >= self._interval:
                if self._taking is None or self._taking.done():
                    self._taking = asyncio.run_coroutine_threadsafe(self._take(), loop)
                try:
                    # It ends by itself within PICTURE_TIMEOUT, unless something hangs.
                    self._taking.result(1.1 * PICTURE_TIMEOUT)
                except CancelledError:
                    return False  # closed meanwhile
                except NotInTime:
                    self._tell(f"no answer within {PICTURE_TIMEOUT:g} s")
                self._asked_at = time.monotonic()
            return bool(self._up)

    def _begin(self) -> AsyncIterator[Snapshot]:
        return Admin(self._server, lease=self._lease).watch(self._streams, interval=self._interval)

    async def _take(self) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(PICTURE_TIMEOUT):
                picture = await anext(self._watch)
        except (StreamqError, TimeoutError) as error:
            self._watch = self._begin()  # an error has ended the other one
            await self._server.close()
            self._tell(str(error) or f"no answer within {PICTURE_TIMEOUT:g} s")
            return
        self.latest, self.seconds = picture, time.monotonic() - began
        for stream in set(picture.forbidden) - self._forbidden:
            _log.warning("The user may not look at the stream %s", printable(stream, 100))
            self._forbidden.add(stream)
        self._tell(None)

    def _tell(self, trouble: str | None) -> None:
        """Log it when the server is lost, and when it is back."""
        before, self._up = self._up, trouble is None
        if trouble is not None and before is not False:
            _log.warning("Server lost: %s; streamq_server_up is 0 until it is back", trouble)
        elif trouble is None and before is False:
            _log.warning("Server back")

    def is_alive(self) -> Answer:
        """Whether the event loop of this thread turns."""
        loop = self._loop
        if loop is None:
            return Answer(False, "the exporter is closed\n")
        turned = threading.Event()
        loop.call_soon_threadsafe(turned.set)
        if turned.wait(LOOP_TIMEOUT):
            return Answer(True, "ok\n")
        return Answer(False, f"the event loop has not turned for {LOOP_TIMEOUT:g} s\n")

    def is_ready(self) -> Answer:
        """Whether the server answers."""
        if self.ask():
            return Answer(True, "ok\n")
        return Answer(False, "no server: the log says why\n")

    def close(self) -> bool:
        """Give up the connection; ``False`` if that was done already."""
        loop, self._loop = self._loop, None
        if loop is None:
            return False
        asyncio.run_coroutine_threadsafe(self._leave(), loop)
        self._thread.join(LOOP_TIMEOUT)
        if not self._thread.is_alive():
            loop.close()
        return True

    async def _leave(self) -> None:
        loop = asyncio.get_running_loop()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=1.0)
        await self._server.close()
        await loop.shutdown_asyncgens()
        loop.stop()


def _families(picture: Snapshot | None, *, up: bool, seconds: float) -> Iterator[Metric]:
    groups = picture.groups if picture is not None else ()
    streams = picture.streams if picture is not None else ()
    yield from backlog.families({(one.stream, one.name): one.backlog for one in groups}, up=up)

    length = GaugeMetricFamily("streamq_stream_length", "Entries of the stream", labels=("stream",))
    added = CounterMetricFamily(
        "streamq_stream_added", "Entries that the stream ever had", labels=("stream",)
    )
    for stream in streams:
        length.add_metric((stream.name,), stream.length)
        if stream.added is not None:
            added.add_metric((stream.name,), stream.added)
    yield length
    yield added

    used = GaugeMetricFamily("streamq_server_memory_bytes", "Memory that the server uses")
    limit = GaugeMetricFamily(
        "streamq_server_memory_limit_bytes", "Memory that the server may use; 0 for no limit"
    )
    about = InfoMetricFamily("streamq_server", "What the server is")
    if picture is not None:
        server = picture.server
        used.add_metric((), server.used_memory)
        limit.add_metric((), server.maxmemory)
        known = {"name": server.name, "version": server.version}
        about.add_metric((), {**known, "maxmemory_policy": server.maxmemory_policy})
    yield used
    yield limit
    yield about
    yield GaugeMetricFamily(
        "streamq_exporter_seconds", "Time that the last look at the server took", value=seconds
    )
