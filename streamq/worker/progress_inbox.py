"""Progress that handlers in processes tell: a datagram to the worker each time.

The pool's own pipes carry calls and results, and nothing while a handler runs.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import orjson

from streamq.job import REPORTERS, Job

AT_ONCE = 64
"""Datagrams taken before the event loop does something else."""

LARGEST = 16 * 1024
"""Bytes of a datagram: more than the longest names and note take."""

BEHIND = 0.1
"""Seconds for which a handler waits for a worker that is behind, before it tells nothing."""


class ProgressInbox:
    """Takes what handlers in processes tell, and passes it on to the consumers of this process.

    It is opened by the first job that could tell, in a directory that only this user can enter.
    """

    def __init__(self) -> None:
        self._directory = ""
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def address(self, job: Job) -> str:
        """Where a process can tell how far a job is; empty where nobody would hear it."""
        if (job.place, job.group, job.consumer) not in REPORTERS:
            return ""
        if self._socket is None:
            for where in (None, "/tmp"):  # the first may be too long for a socket's address
                with suppress(OSError):
                    self._open(where)
                    break
        return f"{self._directory}/progress" if self._socket is not None else ""

    def close(self) -> None:
        """Hear nothing more, and leave nothing behind."""
        if self._socket is not None and self._loop is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            shutil.rmtree(self._directory, ignore_errors=True)
        self._socket = None

    def _open(self, where: str | None) -> None:
        self._directory = tempfile.mkdtemp(prefix="streamq-", dir=where)
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)
            opened.bind(f"{self._directory}/progress")
        except OSError:
            opened.close()
            shutil.rmtree(self._directory, ignore_errors=True)
            raise
        self._socket = opened
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(opened, self._take, opened)

    def _take(self, opened: socket.socket) -> None:
        for _ in range(AT_ONCE):
            try:
                stream, group, consumer, *told = orjson.loads(opened.recv(LARGEST))
            except OSError:
                return  # that was all
            report = REPORTERS.get((stream, group, consumer))
            if report is not None:
                report(*told)


@contextmanager
def telling(address: str, job: Job) -> Iterator[None]:
    """In a handler's process: let the jobs of one call tell.

    Args:
        address: the inbox of the worker; empty for none.
        job: one of them; all are of one consumer.
    """
    if not address:
        yield
        return
    place = (job.place, job.group, job.consumer)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as outbox:
        outbox.settimeout(BEHIND)

        def tell(id: str, attempt: int, done: float, note: str) -> None:
            with suppress(OSError):  # the worker is gone, or behind
                outbox.sendto(orjson.dumps((*place, id, attempt, done, note)), address)

        REPORTERS[place] = tell
        try:
            yield
        finally:
            del REPORTERS[place]
