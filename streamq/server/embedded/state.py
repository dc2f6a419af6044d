"""What is known of the embedded server, whether it runs or not."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from streamq.errors import EmbeddedServerError
from streamq.server.embedded import probe, process
from streamq.server.embedded.directory import check_private, home, short_path
from streamq.server.embedded.failure import SOCKET, stuck
from streamq.server.info import parse_info
from streamq.text import printable


@dataclass(frozen=True)
class EmbeddedStatus:
    """What is known of the embedded server; only the first four are set when it is stopped.

    Attributes:
        running: whether it answers (also while it is still loading its data).
        url: where clients connect, ``unix:///…``.
        socket: the path in ``url``.
        directory: where its data and its log are.
        pid: its process.
        version: such as ``Valkey 9.1.2``.
        uptime: seconds since it started.
        memory: bytes that it uses.
        maxmemory: bytes at which it refuses new jobs, 0 for no limit.
        clients: connections open, without the one that asked.
        loading: it is still reading its data after a start.
        aof_last_write_status: ``ok``, or ``err`` when it cannot write to the disk.
        aof_size: bytes of the append-only file.
    """

    running: bool
    url: str
    socket: Path
    directory: Path
    pid: int | None = None
    version: str | None = None
    uptime: float | None = None
    memory: int | None = None
    maxmemory: int | None = None
    clients: int | None = None
    loading: bool = False
    aof_last_write_status: str | None = None
    aof_size: int | None = None


def status() -> EmbeddedStatus:
    """What the embedded server says of itself; nothing is started or created.

    Raises:
        EmbeddedServerError: a server is there but does not answer.
    """
    return look(probe.SILENCE)


def look(patience: float) -> EmbeddedStatus:
    """The server's state; one that is just starting has ``patience`` seconds to answer."""
    directory = home()
    if not os.path.lexists(directory):
        socket = directory / SOCKET
        return EmbeddedStatus(False, url_of(socket), socket, directory)
    check_private(directory)
    path = short_path(directory)
    deadline = time.monotonic() + patience
    while True:
        reply = probe.ask_or_none(path, "INFO server clients memory persistence")
        if reply is not None:
            break
        if not process.is_locked(directory):
            return EmbeddedStatus(False, url_of(path), path, directory)
        if time.monotonic() > deadline:
            raise stuck(directory)
        time.sleep(probe.POLL)
    if reply.startswith("-"):
        raise EmbeddedServerError(f"the embedded server refuses INFO: {probe.cause(reply)}")
    info = parse_info(reply)
    return EmbeddedStatus(
        running=True,
        url=url_of(path),
        socket=path,
        directory=directory,
        pid=int(info["process_id"]),
        version=_version(info),
        uptime=float(info["uptime_in_seconds"]),
        memory=int(info["used_memory"]),
        maxmemory=int(info.get("maxmemory", 0)),
        clients=int(info["connected_clients"]) - 1,
        loading=info["loading"] == "1",
        aof_last_write_status=info.get("aof_last_write_status"),
        aof_size=int(info["aof_current_size"]) if "aof_current_size" in info else None,
    )


def url_of_running() -> str | None:
    """Where the embedded server listens, or ``None`` where none was started; it is not asked.

    Raises:
        EmbeddedServerError: its directory is not private.
    """
    directory = home()
    if not os.path.lexists(directory / SOCKET):
        return None
    check_private(directory)
    return url_of(short_path(directory))


def _version(info: dict[str, str]) -> str:
    if "valkey_version" in info:
        return printable(f"Valkey {info['valkey_version']}")
    return printable(f"Redis {info['redis_version']}")


def url_of(path: Path) -> str:
    """The URL of a socket."""
    return "unix://" + quote(os.fsencode(path))
