"""What a program writes: passed on, and kept as far as it tells of the job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streamq.limits import MAX_RESULT
from streamq.wire import json

TAIL = 1000
"""Bytes of standard error that are kept."""


class Output:
    """Standard output: passed on in whole lines, and kept while it may be the result."""

    def __init__(self, output: Callable[[bytes], None]) -> None:
        self._output = output
        self._kept = bytearray()
        self._line = b""
        self._size = 0

    def take(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size <= MAX_RESULT:
            self._kept += chunk
        whole, newline, rest = (self._line + chunk).rpartition(b"\n")
        if len(rest) > MAX_RESULT:
            whole, newline, rest = self._line + chunk, b"", b""
        self._line = rest
        if whole or newline:
            self._output(whole + newline)

    def finish(self) -> None:
        if self._line:
            self._output(self._line + b"\n")
            self._line = b""

    def result(self) -> Any:
        if 0 < self._size <= MAX_RESULT:
            try:
                return json.loads(bytes(self._kept))
            except ValueError:
                pass
        return None


class Tail:
    """The end of standard error."""

    def __init__(self) -> None:
        self._kept = b""

    def take(self, chunk: bytes) -> None:
        self._kept = (self._kept + chunk)[-TAIL:]

    def lines(self) -> str:
        text = self._kept.decode("utf-8", "replace")
        return " | ".join(line.strip() for line in text.splitlines() if line.strip())
