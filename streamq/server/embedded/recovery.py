"""What a crash leaves behind, and the server itself does not clear up at its next start."""

from __future__ import annotations

import os
from pathlib import Path

_BLOCK = 64 * 1024


def cut_zero_tails(directory: Path) -> list[str]:
    """Cut the zero bytes off the end of the append-only files; a server must not be running.

    A file system may have recorded a file's new length and not yet its last blocks, which
    then read as zeros. No whole command ends in a zero byte, so nothing is lost: the server
    then finds a file that breaks off, and loads all that stands before.

    Returns:
        A line for the log for each file that was cut.

    Raises:
        OSError: a file could not be read or cut.
    """
    notes = []
    for path in sorted(directory.glob("appendonlydir/*.incr.aof")):
        with path.open("r+b") as file:
            size = length = file.seek(0, os.SEEK_END)
            while length:
                start = max(length - _BLOCK, 0)
                file.seek(start)
                kept = file.read(length - start).rstrip(b"\0")
                length = start + len(kept)
                if kept:
                    break
            if length < size:
                file.truncate(length)
                notes.append(f"streamq cut {size - length} zero bytes off the end of {path.name}")
    return notes


def remove_unfinished(directory: Path) -> None:
    """Remove half-written copies of the data, each as large as all of it.

    Raises:
        OSError: one could not be removed.
    """
    for pattern in ("temp-rewriteaof-*.aof", "temp-*.rdb"):
        for path in directory.glob(pattern):
            path.unlink(missing_ok=True)
