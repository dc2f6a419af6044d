"""One command and its reply over a unix socket: no client library, so nothing to import."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from streamq.errors import EmbeddedServerError
from streamq.text import printable

SILENCE = 15.0  # seconds without any answer until a running server counts as stuck
POLL = 0.02  # seconds between two looks at a server that starts or stops


def ask(path: Path, command: str, *, timeout: float) -> str | None:
    """The reply to ``command``: a status, an error with its ``-``, or a bulk string.

    Args:
        timeout: seconds until connected, and again between two pieces of the reply.

    Returns:
        ``None`` when nothing listens, or the connection closes without a whole reply.

    Raises:
        TimeoutError: a server listens but does not answer.
        EmbeddedServerError: the socket may not be used.
    """
    try:
        owner = os.stat(path).st_uid
        if owner != os.getuid():
            raise EmbeddedServerError(
                f"the socket {path} belongs to another user (uid {owner}): "
                "remove it, or set STREAMQ_HOME to a directory of your own"
            )
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(os.fspath(path))
            connection.sendall(command.encode() + b"\r\n")
            with connection.makefile("rb") as replies:
                line = replies.readline()
                if not line.endswith(b"\n"):
                    return None
                if not line.startswith(b"$"):
                    return _text(line).removeprefix("+")
                size = int(line[1:])
                body = replies.read(size)
                return _text(body) if len(body) == size else None
    except (FileNotFoundError, ConnectionError):
        return None
    except BlockingIOError:  # its queue of new connections is full
        raise TimeoutError from None
    except TimeoutError:
        raise
    except OSError as error:
        raise EmbeddedServerError(
            f"the socket {path} cannot be used: {error.strerror or error}"
        ) from error


def ask_or_none(path: Path, command: str) -> str | None:
    """The reply, or ``None``: nothing listens, or it does not answer now."""
    try:
        return ask(path, command, timeout=2)
    except TimeoutError:
        return None


def cause(reply: str) -> str:
    """What an error reply says, as it may be shown."""
    return printable(reply.removeprefix("-").strip(), 200)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace").rstrip("\r\n")
