"""The directory of the embedded server: where it is, that it is private, how to reach it."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from streamq.errors import EmbeddedServerError
from streamq.server.embedded.failure import ELSEWHERE, SOCKET, refused
from streamq.text import printable

_SOCKET_PATH_LIMIT = 103  # bytes; of the systems we run on, macOS allows the fewest


def home() -> Path:
    """The directory of the embedded server: ``STREAMQ_HOME``, or the user's data directory.

    Raises:
        EmbeddedServerError: neither is known.
    """
    try:
        if chosen := os.environ.get("STREAMQ_HOME"):
            return Path(os.path.abspath(Path(chosen).expanduser()))
        base = os.environ.get("XDG_DATA_HOME", "")
        if os.path.isabs(base):  # the XDG specification: a relative one is to be ignored
            return Path(base, "streamq")
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Application Support" / "streamq"
        return Path.home() / ".local" / "share" / "streamq"
    except RuntimeError as error:
        raise EmbeddedServerError(f"no home directory ({printable(error)}): {ELSEWHERE}") from None


def make_private(directory: Path) -> None:
    """Create ``directory`` for its owner alone; close it to others while it is still empty."""
    if sys.platform == "win32":
        raise EmbeddedServerError("the embedded server needs Linux or macOS: name one with --url")
    try:
        if not directory.exists():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif _is_open_but_ours(directory) and not any(directory.iterdir()):
            directory.chmod(0o700)
    except OSError as error:
        raise refused(error, f"create its directory {directory}") from error
    check_private(directory)


def check_private(directory: Path) -> None:
    """Refuse a directory that others own or can enter: they could read or replace the data."""
    try:
        found = directory.stat()
    except OSError as error:
        raise refused(error, f"use its directory {directory}") from error
    if not stat.S_ISDIR(found.st_mode):
        raise EmbeddedServerError(f"{directory} is not a directory: remove it, or {ELSEWHERE}")
    if found.st_uid != os.getuid():
        raise EmbeddedServerError(
            f"{directory} belongs to another user (uid {found.st_uid}, you are {os.getuid()}): "
            f"{ELSEWHERE}"
        )
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        raise EmbeddedServerError(
            f"{directory} is open to other users (mode {mode:03o}): "
            f"close it with `chmod 700 '{directory}'`, or {ELSEWHERE}"
        )


def short_path(directory: Path) -> Path:
    """The path of the socket, through a short link when the real one is too long to connect to."""
    socket = directory / SOCKET
    if _fits(socket):
        return socket
    # Hashing and tempfile are slow to import, and seldom needed here.
    import hashlib
    import tempfile

    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    name = f"streamq-{os.getuid()}-{digest}"
    temporary = Path(tempfile.gettempdir())
    link = next(p for p in (temporary / name, Path("/tmp", name)) if _fits(p / SOCKET))
    try:
        link.symlink_to(directory)
    except FileExistsError:
        _check_link(link, directory)
    except OSError as error:
        raise refused(error, f"create {link}, a short link to its socket") from error
    return link / SOCKET


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT


def _check_link(link: Path, directory: Path) -> None:
    # The name can be guessed, so another user may have taken it to lead us to their socket.
    try:
        ours = link.lstat().st_uid == os.getuid() and link.readlink() == directory
    except OSError:
        ours = False
    if not ours:
        raise EmbeddedServerError(
            f"{link} should be our link to {directory} and is not: "
            "remove it, or set STREAMQ_HOME to a shorter path"
        )


def _is_open_but_ours(directory: Path) -> bool:
    found = directory.stat()
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == os.getuid()
        and stat.S_IMODE(found.st_mode) & 0o077 != 0
    )
