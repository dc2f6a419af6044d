"""Serving a registry over HTTP."""

from __future__ import annotations

import errno
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from streamq.errors import ConfigError
from streamq.observe.prometheus.health import Answer
from streamq.text import printable

PORTS_TRIED = 100
"""How many ports ``next_free`` looks at."""

Probes = Mapping[str, Callable[[], Answer]]
"""What answers beside the metrics, by path."""

_log = logging.getLogger(__name__)


def serve(
    registry: CollectorRegistry, host: str, port: int, *, next_free: bool, probes: Probes
) -> HTTPServer:
    """Serve a registry and probes; see :meth:`streamq.observe.prometheus.Metrics.serve`.

    Raises:
        ConfigError: it cannot listen there.
    """
    if not host:
        raise ConfigError("metrics host: give an address to listen at; 0.0.0.0 for all")
    if not 0 <= port <= 65535:
        raise ConfigError(f"metrics port {port}: give a number from 0 to 65535")
    last = min(port + PORTS_TRIED - 1, 65535) if next_free else port
    for candidate in range(port, last + 1):
        try:
            return HTTPServer(host, candidate, _routes(registry, probes))
        except (OSError, UnicodeError) as error:
            if not (isinstance(error, OSError) and error.errno == errno.EADDRINUSE):
                raise ConfigError(_cannot_listen(host, candidate, error)) from None
    ports = f"port {port} is" if last == port else f"the ports {port} to {last} are all"
    raise ConfigError(
        f"cannot serve metrics at {printable(host, 60)}: {ports} in use; give another port"
    )


class HTTPServer(ThreadingWSGIServer):
    """Serves in a thread; unlike prometheus_client's own it closes at once.

    Attributes:
        url: where: ``http://127.0.0.1:8000/metrics``.
    """

    def __init__(self, host: str, port: int, app: Callable[..., Any]) -> None:
        self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        super().__init__((host, port), _QuietHandler)
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self.server_port}/metrics"
        self.set_app(app)
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.05,), name="streamq-metrics-http", daemon=True
        )
        self._thread.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is not worth the traceback that the base class prints."""
        _log.debug("a scrape by %s failed", client_address, exc_info=True)

    def close(self) -> None:
        """Stop serving, and free the port."""
        self.shutdown()
        self.server_close()
        self._thread.join()


class _QuietHandler(WSGIRequestHandler):
    timeout = 30.0

    def log_message(self, format: str, *args: Any) -> None:
        """Log no requests."""


def _routes(registry: CollectorRegistry, probes: Probes) -> Callable[..., Any]:
    metrics = make_wsgi_app(registry)
    paths = ", ".join(["/metrics", *probes])

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        path = environ.get("PATH_INFO") or "/"
        if path in ("/", "/metrics"):
            return metrics(environ, start_response)
        status, text = "404 Not Found", f"nothing is served here; try {paths}\n"
        if path in probes:
            good, text = probes[path]()
            status = "200 OK" if good else "503 Service Unavailable"
        head = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")]
        start_response(status, head)
        return [text.encode()]

    return app


def _cannot_listen(host: str, port: int, error: OSError | UnicodeError) -> str:
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (
        f"cannot serve metrics at {printable(host, 60)}:{port}: {printable(why, 200)}; "
        "give another address or port"
    )
