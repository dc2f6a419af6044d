"""Starting and stopping the embedded server."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from streamq.errors import EmbeddedServerError
from streamq.server.embedded import probe, process
from streamq.server.embedded.directory import home, make_private, short_path
from streamq.server.embedded.failure import LOG, start_failed, stuck
from streamq.server.embedded.memory import chosen_limit
from streamq.server.embedded.state import look, url_of
from streamq.server.info import parse_info

NOTICE_EVERY = 1.0  # seconds between two calls of `notify`


def ensure_running(*, notify: Callable[[str], None] | None = None) -> str:
    """The URL of the embedded server, which is started when it does not run.

    Returns when the server has loaded its data and answers. Any number of processes
    may call this at the same moment and end up with one server.

    Args:
        notify: called about once a second with a line to show while a large data
            set loads.

    Raises:
        ConfigError: ``STREAMQ_MAXMEMORY`` cannot be used.
        EmbeddedServerError: it cannot start, does not answer, or its disk is full.
    """
    maxmemory = chosen_limit()
    directory = home()
    make_private(directory)
    path = short_path(directory)
    log_offset: int | None = None  # where our server's log begins, once we have started one
    deadline = time.monotonic() + probe.SILENCE
    next_notice = time.monotonic() + NOTICE_EVERY
    while True:
        reply = probe.ask_or_none(path, "PING")
        now = time.monotonic()
        if reply is None:
            with process.lock(directory) as lock:
                if lock is not None:
                    if log_offset is not None:
                        raise start_failed(directory, log_offset)
                    log_offset = process.spawn(directory, lock, maxmemory)
        elif reply.startswith("-MISCONF"):
            raise EmbeddedServerError(
                f"the embedded server cannot write to {directory}: {probe.cause(reply)}; "
                "free some space, and it goes on by itself"
            )
        elif reply.startswith("-LOADING"):
            deadline = now + probe.SILENCE
            if notify and now >= next_notice:
                next_notice = now + NOTICE_EVERY
                notify(_loading_notice(path))
        else:  # PONG, or an error such as BUSY: it runs, and the command itself will tell
            return url_of(path)
        if now > deadline:
            raise stuck(directory)
        time.sleep(probe.POLL)


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
    current = look(timeout)
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
        reply = probe.ask(path, "SHUTDOWN", timeout=max(deadline - time.monotonic(), probe.POLL))
    except TimeoutError:
        raise _still_stopping(pid, timeout) from None
    if reply is not None:  # a server that goes closes the connection without a reply
        raise EmbeddedServerError(
            f"the embedded server refuses to stop: {probe.cause(reply)}; "
            f"its log is {current.directory / LOG}"
        )
    while process.alive(pid) and process.is_locked(current.directory):
        if time.monotonic() > deadline:
            raise _still_stopping(pid, timeout)
        time.sleep(probe.POLL)
    return True


def _loading_notice(path: Path) -> str:
    reply = probe.ask_or_none(path, "INFO persistence") or ""
    percent = parse_info(reply).get("loading_loaded_perc")
    share = f" ({float(percent):.0f} %)" if percent else ""
    return f"the embedded server is loading its data{share}"


def _still_stopping(pid: int, timeout: float) -> EmbeddedServerError:
    return EmbeddedServerError(
        f"the embedded server (process {pid}) was told to stop but still runs after {timeout:g} s; "
        "wait for it, or end it with `kill -9` (what it has not written is lost)"
    )
