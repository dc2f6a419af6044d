"""Serving an ASGI app in this process, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

import uvicorn

from streamq.errors import ConfigError
from streamq.text import printable

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

GRACE = 5
"""Seconds that requests under way have for their end."""

_STOPPING = "streamq.stopping"


class HTTPServer:
    """An ASGI app at an address; it listens from the beginning, and answers in :meth:`run`.

    Args:
        app: what is served.
        host: an address, or a name of this machine.
        port: 0 for any that is free.

    Attributes:
        port: the one that it listens on.
        url: where: ``http://127.0.0.1:8080``.

    Raises:
        ConfigError: it cannot listen there.
    """

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        self._socket = _listen(host, port)
        shown = f"[{host}]" if ":" in host else host
        self.port = int(self._socket.getsockname()[1])
        self.url = f"http://{shown}:{self.port}"
        self._app = app
        self._stopping = asyncio.Event()
        self._server = _Server(
            uvicorn.Config(
                self._serve, interface="asgi3", log_config=None, log_level="error",
                access_log=False, server_header=False, ws="none", timeout_graceful_shutdown=GRACE,
                # Who a client is matters to nobody here, so no proxy has to be believed.
                proxy_headers=False,
            )
        )  # fmt: skip

    async def run(self) -> None:
        """Answer requests until :meth:`stop`; those under way then come to their end."""
        try:
            await self._server.serve([self._socket])
        finally:
            self.close()

    def stop(self) -> None:
        """Take no more requests. What waits for long hears of it; see :func:`stopping`."""
        self._stopping.set()
        self._server.should_exit = True

    def close(self) -> None:
        """Free the port, where :meth:`run` is not to come, which does that at its end."""
        self._socket.close()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[_STOPPING] = self._stopping
        await self._app(scope, receive, send)


class _Server(uvicorn.Server):
    """Without handlers for signals, which are for the command to handle."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def stopping(scope: Scope) -> asyncio.Event:
    """Set when the server is told to stop: for what waits for long, or never ends by itself.

    Under another server than ours it is never set.
    """
    found = scope.get(_STOPPING)
    return found if isinstance(found, asyncio.Event) else asyncio.Event()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, UnicodeError, OverflowError) as error:
        where = f"{printable(host, 100)}:{port}"
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            raise ConfigError(
                f"another program listens on {where}: give another --port, or 0 for any"
            ) from None
        why = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"cannot listen on {where}: {printable(why, 200)}; give another --host or --port"
        ) from None
