"""The server process, and the lock that it holds for as long as it lives."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamq.errors import EmbeddedServerError
from streamq.server.embedded import binary, recovery
from streamq.server.embedded.failure import LOCK, LOG, PID, SOCKET, refused, start_failed
from streamq.server.embedded.memory import default_limit

# Paths are relative to the server's working directory: nothing to quote, and no limit
# on the length of the socket's path.
_SETTINGS = {
    "port": "0",
    "unixsocket": SOCKET,
    "unixsocketperm": "700",
    "dir": ".",
    "daemonize": "yes",
    "pidfile": PID,
    "logfile": LOG,
    "loglevel": "notice",
    "proc-title-template": "{title} streamq",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "aof-load-truncated": "yes",
    "save": "",  # the append-only file is the one copy
    "maxmemory-policy": "noeviction",
}


@contextmanager
def lock(directory: Path) -> Iterator[int | None]:
    """The lock file's descriptor, locked, or ``None`` when a server or a starter holds it."""
    import fcntl  # here, because Windows has none and may still use a server elsewhere

    try:
        descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise refused(error, f"create its lock file in {directory}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = descriptor
        except BlockingIOError:
            held = None
        except OSError as error:
            raise refused(error, f"lock {directory / LOCK}") from error
        yield held
    finally:
        os.close(descriptor)


def is_locked(directory: Path) -> bool:
    """Whether a server runs in ``directory``, or is being started."""
    with lock(directory) as held:
        return held is None


def spawn(directory: Path, lock_descriptor: int, maxmemory: int | None) -> int:
    """Start a server that inherits the lock.

    Args:
        maxmemory: bytes that it may use, 0 for no limit, ``None`` for a share of what there is.

    Returns:
        Where its messages begin in the log.

    Raises:
        EmbeddedServerError: there is no program to run, or it ended at once.
    """
    program = binary.find()
    limit = default_limit() if maxmemory is None else maxmemory
    settings = {**_SETTINGS, "maxmemory": str(limit)}
    try:
        log = _prepare(directory, lock_descriptor)
    except OSError as error:
        raise refused(error, f"write to {directory}") from error
    try:
        offset = os.fstat(log).st_size
        # It puts itself in the background, so this returns at once, and no later Ctrl-C,
        # closed terminal or end of this process reaches it.
        code = subprocess.run(
            [program, *(part for name in settings for part in (f"--{name}", settings[name]))],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=directory,
            pass_fds=[lock_descriptor],
            start_new_session=True,
            umask=0o077,
            timeout=10,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        raise start_failed(directory, offset) from None
    except OSError as error:
        raise EmbeddedServerError(
            f"{program} cannot be run: {error.strerror}; "
            "use a running server with --url or STREAMQ_URL"
        ) from error
    finally:
        os.close(log)
    if code:
        raise start_failed(directory, offset)
    return offset


def alive(pid: int) -> bool:
    """Whether the process exists and is ours."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _prepare(directory: Path, lock_descriptor: int) -> int:
    """Make the directory ready for a start, and open the log."""
    # From here on a process ID in this file is that of the holder of the lock.
    (directory / PID).unlink(missing_ok=True)
    size = os.pwrite(lock_descriptor, os.uname().nodename.encode(), 0)
    os.ftruncate(lock_descriptor, size)
    recovery.remove_unfinished(directory)
    notes = recovery.cut_zero_tails(directory)
    log = os.open(directory / LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(log, "".join(f"{note}\n" for note in notes).encode())
    except OSError:
        os.close(log)
        raise
    return log
