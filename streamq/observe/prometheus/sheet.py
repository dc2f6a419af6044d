"""The numbers of one process, in memory that it shares with its supervisor.

The memory outlives the process, so nothing that was counted is lost even by ``kill -9``;
and reading it asks nothing of the process, so one that hangs is read like any other.
"""

from __future__ import annotations

import os
import sys
import tempfile
from array import array
from mmap import ACCESS_READ, mmap
from struct import Struct
from typing import BinaryIO

import orjson

from streamq.observe.prometheus.rows import Counts, Key, Row
from streamq.version import __version__

# The length of the head, the head (JSON: which rows follow), padding, and the rows as doubles.
_LENGTH = Struct("=Q")
_CELL = 8


def new_sheet() -> BinaryIO:
    """A file without a name, for a process that inherits its descriptor."""
    if sys.platform == "linux":
        return open(os.memfd_create("streamq-sheet"), "w+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)


class Sheet:
    """A new sheet, as the process that counts sees it.

    Args:
        fd: the file's descriptor, which is not needed afterwards.
        counts: the rows that it will have.
    """

    def __init__(self, fd: int, counts: Counts) -> None:
        rows = [(key, len(row)) for key, row in counts.items()]
        head = orjson.dumps({"version": __version__, "rows": rows})
        start = _start(len(head))
        size = start + _CELL * sum(width for _, width in rows)
        os.ftruncate(fd, size)
        memory = mmap(fd, size)
        cells = memoryview(memory)[start:].cast("d")
        self._rows: dict[Key, memoryview[float]] = {}
        for key, width in rows:
            self._rows[key], cells = cells[:width], cells[width:]
        memory[_LENGTH.size : _LENGTH.size + len(head)] = head
        memory[: _LENGTH.size] = _LENGTH.pack(len(head))  # last: until then it reads as empty

    def write(self, row: Row) -> None:
        """Bring one row up to date.

        A reader may see some of its numbers before and some after that. Each number is a
        cell that is written at once, so none is ever seen to go back.
        """
        self._rows[row.key][:] = array("d", row.numbers())


def read_sheet(fd: int) -> Counts:
    """The numbers on a sheet; none before its process has begun to count.

    Nor are there any if another version of streamq wrote it, because they may mean
    something else: the program was replaced while its supervisor ran.
    """
    size = os.fstat(fd).st_size
    if size == 0:
        return {}
    with mmap(fd, size, access=ACCESS_READ) as memory:
        (length,) = _LENGTH.unpack(memory[: _LENGTH.size])
        if length == 0:
            return {}
        head = orjson.loads(memory[_LENGTH.size : _LENGTH.size + length])
        if head["version"] != __version__:
            return {}
        with memoryview(memory) as whole, whole[_start(length) :] as part, part.cast("d") as cells:
            numbers = cells.tolist()
    found = {}
    for key, width in head["rows"]:
        found[tuple(key)], numbers = numbers[:width], numbers[width:]
    return found


def _start(length: int) -> int:
    return -(-(_LENGTH.size + length) // _CELL) * _CELL
