"""Why the embedded server cannot be used, as errors that say what to do about it."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from streamq.errors import EmbeddedServerError
from streamq.text import printable

LOCK = "server.lock"
LOG = "server.log"
PID = "server.pid"
SOCKET = "server.sock"

ELSEWHERE = "set STREAMQ_HOME to a directory of your own, or use another server with --url"
_FULL = 64 * 1024  # bytes free below which a start cannot succeed


def refused(error: OSError, doing: str) -> EmbeddedServerError:
    """The system refused what the embedded server needs."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason = "the disk is full; free some space, or set STREAMQ_HOME to another disk"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
        reason = f"{error.strerror}; {ELSEWHERE}"
    else:
        reason = error.strerror or str(error)
    return EmbeddedServerError(f"the embedded server cannot {doing}: {reason}")


def start_failed(directory: Path, log_offset: int) -> EmbeddedServerError:
    """The server ended before it answered; its last words tell why."""
    return EmbeddedServerError(
        f"the embedded server did not start: {_last_words(directory, log_offset)}; "
        f"its log is {directory / LOG}"
    )


def stuck(directory: Path) -> EmbeddedServerError:
    """A server holds the lock and does not answer."""
    host = _read(directory / LOCK)
    pid = _read(directory / PID)
    if host and host != os.uname().nodename:
        return EmbeddedServerError(
            f"{directory} is in use by a server on the machine {host}: "
            "set STREAMQ_HOME to a directory that the machines do not share"
        )
    if not pid.isdigit():
        return EmbeddedServerError(
            f"a server uses {directory} and does not answer on {directory / SOCKET}: "
            f"look for the process valkey-server, and at its log {directory / LOG}"
        )
    return EmbeddedServerError(
        f"the embedded server (process {pid}) does not answer on {directory / SOCKET}: "
        f"wait if the machine is busy, else end it with `kill {pid}`, which keeps its data"
    )


# "3992:M 25 Nov 2026 01:08:29.569 # WARNING …": who and when, then the level.
_STAMP = re.compile(r"^\d+:\w \d+ \w+ \d+ [\d:.]+ (?P<level>\S) ")
_NOISE = re.compile("WARNING|ready to exit", re.IGNORECASE)


def _last_words(directory: Path, log_offset: int) -> str:
    try:
        with (directory / LOG).open("rb") as log:
            log.seek(log_offset)
            lines = log.read(64 * 1024).decode("utf-8", "backslashreplace").splitlines()
        disk = os.statvfs(directory)
    except OSError as error:
        return f"its log cannot be read ({error.strerror})"
    telling = []
    for line in lines:
        stamp = _STAMP.match(line)
        text = line[stamp.end() :] if stamp else line
        if "requested shutdown" in text:
            telling.append("it was told to stop while it was starting")
        elif text.strip() and (not stamp or stamp["level"] == "#") and not _NOISE.search(text):
            telling.append(printable(text.strip(), 200))
    if disk.f_bavail * disk.f_frsize < _FULL:  # then the log may be silent about it
        telling.append("the disk is full")
    return "; ".join(telling[-3:]) or "it ended without a word"


def _read(path: Path) -> str:
    try:
        return printable(path.read_text(errors="backslashreplace").strip())
    except OSError:
        return ""
