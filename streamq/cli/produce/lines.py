"""Lines of a file or a pipe, as they come, with only a block of them in memory."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator
from typing import NamedTuple

import anyio

BLOCK = 64 * 1024
"""Bytes read at once."""


class Line(NamedTuple):
    """One line that is not blank; ``text`` is ``None`` when it is too long to be read."""

    number: int
    text: bytes | None


class LineReader:
    """Reads lines in batches: each batch is what was there to be read.

    So a file comes in large batches, and what a person writes into a pipe line by line
    comes line by line.

    Args:
        fd: an open file descriptor.
        longest: bytes of the longest line that is kept.
    """

    def __init__(self, fd: int, longest: int) -> None:
        self._fd = fd
        self._longest = longest
        self._waiting = anyio.CancelScope()
        mode = os.fstat(fd)
        terminal = os.isatty(fd)
        # Only what another process writes has to be waited for (and can be).
        self._waits = terminal or not (stat.S_ISREG(mode.st_mode) or stat.S_ISCHR(mode.st_mode))
        self.size = mode.st_size if stat.S_ISREG(mode.st_mode) else None
        """Bytes of the whole, if known."""
        self.read = 0
        """Bytes read so far."""
        self.stopped = False

    def stop(self) -> None:
        """End after the batch that is being worked on."""
        self.stopped = True
        self._waiting.cancel()

    async def batches(self) -> AsyncIterator[list[Line]]:
        """Batches of lines until the end or :meth:`stop`."""
        number, rest, skipping = 0, b"", False
        while block := await self._block():
            *whole, rest = (rest + block).split(b"\n")
            batch = []
            for text in whole:
                number += 1
                if skipping or len(text) > self._longest:
                    batch.append(Line(number, None))
                    skipping = False
                elif text.strip():
                    batch.append(Line(number, text))
            if len(rest) > self._longest:
                rest, skipping = b"", True
            if batch:
                yield batch
        if not self.stopped and (skipping or rest.strip()):
            yield [Line(number + 1, None if skipping else rest)]

    async def _block(self) -> bytes:
        if self._waits and not self.stopped:
            with self._waiting:
                await anyio.wait_readable(self._fd)
            self._waiting = anyio.CancelScope()
        if self.stopped:
            return b""
        block = os.read(self._fd, BLOCK)
        self.read += len(block)
        return block
