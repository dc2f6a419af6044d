"""The embedded server: a private Valkey on a unix socket, for commands that name no server.

It is a real server with append-only persistence. The first command starts it, later
ones share it, and it runs until :func:`stop` or a shutdown of the machine.

One rule carries the design: the server process itself holds the lock file of its
directory, inherited from the command that started it. So "is one running?" never rests
on a process ID that another process may have taken, nor on a socket left behind by a
crash, and two servers can never write to one directory.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from streamq.errors import EmbeddedServerError
from streamq.server.embedded import process, wire
from streamq.server.embedded.directory import check_private, home, make_private, short_path
from streamq.server.embedded.failure import LOG, SOCKET, start_failed, stuck
from streamq.text import printable

__all__ = ["EmbeddedStatus", "ensure_running", "home", "status", "stop"]

SILENCE = 15.0  # seconds without any answer until a running server counts as stuck
POLL = 0.02  # seconds between two looks at a server that starts or stops
NOTICE_EVERY = 1.0  # seconds between two calls of `notify`


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
        memory: bytes its data takes.
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
    clients: int | None = None
    loading: bool = False
    aof_last_write_status: str | None = None
    aof_size: int | None = None


def ensure_running(*, notify: Callable[[str], None] | None = None) -> str:
    """The URL of the embedded server, which is started when it does not run.

    Returns when the server has loaded its data and answers. Any number of processes
    may call this at the same moment and end up with one server.

    Args:
        notify: called about once a second with a line to show while a large data
            set loads.

    Raises:
        EmbeddedServerError: it cannot start, does not answer, or its disk is full.
    """
    directory = home()
    make_private(directory)
    path = short_path(directory)
    log_offset: int | None = None  # where our server's log begins, once we have started one
    deadline = time.monotonic() + SILENCE
    next_notice = time.monotonic() + NOTICE_EVERY
    while True:
        reply = _ask(path, "PING")
        now = time.monotonic()
        if reply is None:
            with process.lock(directory) as lock:
                if lock is not None:
                    if log_offset is not None:
                        raise start_failed(directory, log_offset)
                    log_offset = process.spawn(directory, lock)
        elif reply.startswith("-MISCONF"):
            raise EmbeddedServerError(
                f"the embedded server cannot write to {directory}: {_cause(reply)}; "
                "free some space, and it goes on by itself"
            )
        elif reply.startswith("-LOADING"):
            deadline = now + SILENCE
            if notify and now >= next_notice:
                next_notice = now + NOTICE_EVERY
                notify(_loading_notice(path))
        else:  # PONG, or an error such as BUSY: it runs, and the command itself will tell
            return _url(path)
        if now > deadline:
            raise stuck(directory)
        time.sleep(POLL)


def stop(*, timeout: float = 10) -> bool:
    """Stop the embedded server; its data is on disk when this returns.

    Args:
        timeout: seconds to wait for the process to end.

    Returns:
        ``False`` when no server was running.

    Raises:
        EmbeddedServerError: it does not answer, cannot save its data, or did not end
            in time.
    """
    deadline = time.monotonic() + timeout
    current = _look(timeout)
    pid = current.pid
    if not current.running or pid is None:
        return False
    if current.aof_last_write_status == "err":
        raise EmbeddedServerError(
            f"the embedded server cannot write to {current.directory}, and stopping it now would "
            f"lose its latest writes: free some space and try again, or give them up with "
            f"`kill {pid}`"
        )
    path = current.socket
    try:
        reply = wire.ask(path, "SHUTDOWN", timeout=max(deadline - time.monotonic(), POLL))
    except TimeoutError:
        raise _still_stopping(pid, timeout) from None
    if reply is not None:  # a server that goes closes the connection without a reply
        raise EmbeddedServerError(
            f"the embedded server refuses to stop: {_cause(reply)}; "
            f"its log is {current.directory / LOG}"
        )
    while process.alive(pid) and process.is_locked(current.directory):
        if time.monotonic() > deadline:
            raise _still_stopping(pid, timeout)
        time.sleep(POLL)
    return True


def status() -> EmbeddedStatus:
    """What the embedded server says of itself; nothing is started or created.

    Raises:
        EmbeddedServerError: a server is there but does not answer.
    """
    return _look(SILENCE)


def _look(patience: float) -> EmbeddedStatus:
    """The server's state; one that is just starting has ``patience`` seconds to answer."""
    directory = home()
    if not os.path.lexists(directory):
        socket = directory / SOCKET
        return EmbeddedStatus(False, _url(socket), socket, directory)
    check_private(directory)
    path = short_path(directory)
    deadline = time.monotonic() + patience
    while True:
        reply = _ask(path, "INFO server clients memory persistence")
        if reply is not None:
            break
        if not process.is_locked(directory):
            return EmbeddedStatus(False, _url(path), path, directory)
        if time.monotonic() > deadline:
            raise stuck(directory)
        time.sleep(POLL)
    if reply.startswith("-"):
        raise EmbeddedServerError(f"the embedded server refuses INFO: {_cause(reply)}")
    info = dict(line.split(":", 1) for line in reply.splitlines() if ":" in line)
    return EmbeddedStatus(
        running=True,
        url=_url(path),
        socket=path,
        directory=directory,
        pid=int(info["process_id"]),
        version=_version(info),
        uptime=float(info["uptime_in_seconds"]),
        memory=int(info["used_memory"]),
        clients=int(info["connected_clients"]) - 1,
        loading=info["loading"] == "1",
        aof_last_write_status=info.get("aof_last_write_status"),
        aof_size=int(info["aof_current_size"]) if "aof_current_size" in info else None,
    )


def _ask(path: Path, command: str) -> str | None:
    """The reply, or ``None``: nobody listens, or whoever does is silent for now."""
    try:
        return wire.ask(path, command, timeout=2)
    except TimeoutError:
        return None


def _loading_notice(path: Path) -> str:
    reply = _ask(path, "INFO persistence") or ""
    info = dict(line.split(":", 1) for line in reply.splitlines() if ":" in line)
    percent = info.get("loading_loaded_perc")
    share = f" ({float(percent):.0f} %)" if percent else ""
    return f"the embedded server is loading its data{share}"


def _version(info: dict[str, str]) -> str:
    if "valkey_version" in info:
        return printable(f"Valkey {info['valkey_version']}")
    return printable(f"Redis {info['redis_version']}")


def _cause(reply: str) -> str:
    return printable(reply.removeprefix("-").strip(), 200)


def _still_stopping(pid: int, timeout: float) -> EmbeddedServerError:
    return EmbeddedServerError(
        f"the embedded server (process {pid}) was told to stop but still runs after {timeout:g} s; "
        "wait for it, or end it with `kill -9` (what it has not written is lost)"
    )


def _url(path: Path) -> str:
    return "unix://" + quote(os.fsencode(path))
