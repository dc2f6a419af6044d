"""TLS in front of a server: the servers that the tests bring along are built without."""

from __future__ import annotations

import socket
import ssl
import threading
from types import TracebackType
from typing import Self

from tests.servers import RedisServer


class TlsFront:
    """Takes TLS connections and passes what is in them on to a server's unix socket.

    A client that is refused gets an alert before the connection is closed.

    Args:
        server: the server behind it.
        context: the certificate, and whether clients need one.
    """

    def __init__(self, server: RedisServer, context: ssl.SSLContext) -> None:
        self._server = server
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self.port = int(self._listener.getsockname()[1])
        self.where = f"127.0.0.1:{self.port}"
        self.url = f"rediss://{self.where}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.append(self._listener)
        for end in self._open:
            _shut(end)
        for thread in self._threads:
            thread.join(10)
        for end in self._open:
            end.close()

    def _start(self, target: object, *args: socket.socket) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]  # a method
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return  # it was shut
            self._start(self._serve, raw)

    def _serve(self, raw: socket.socket) -> None:
        client = self._context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
        self._open.append(client)
        try:
            client.do_handshake()
        except OSError:  # what ssl raises is one
            # Closed with something unread, the client might never see the alert.
            _shut(client, socket.SHUT_WR)
            _pump(client, None)
            return
        behind = socket.socket(socket.AF_UNIX)
        self._open.append(behind)
        behind.connect(str(self._server.socket))
        self._start(_pump, behind, client)
        _pump(client, behind)


def _pump(source: socket.socket, target: socket.socket | None) -> None:
    """Pass on what comes, until either end is closed; ``None`` takes it and forgets it."""
    try:
        while data := source.recv(65536):
            if target is not None:
                target.sendall(data)
    except OSError:
        pass
    _shut(source)
    _shut(target)


def _shut(end: socket.socket | None, how: int = socket.SHUT_RDWR) -> None:
    try:
        if end is not None:
            end.shutdown(how)
    except OSError:
        pass  # it is already
