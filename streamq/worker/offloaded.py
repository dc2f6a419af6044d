"""Data that is kept outside the stream: read when its job is run, deleted when nobody has it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from streamq import offload
from streamq.errors import DataGone, InvalidEntry, StreamqError
from streamq.job import Job
from streamq.offload import Store
from streamq.server import Server
from streamq.verdict import Verdict
from streamq.worker.reconnect import Reconnect

_log = logging.getLogger(__name__)


class Offloaded:
    """The data outside of one stream, for one consumer.

    Args:
        store: of the app, if it has one.
    """

    def __init__(
        self, server: Server, stream: str, store: Store | None, reconnect: Reconnect
    ) -> None:
        self._server = server
        self._stream = stream
        self._store = store
        self._reconnect = reconnect
        self._wanted = asyncio.Event()
        self._wanted.set()  # what a worker that was killed has left

    async def load(self, job: Job) -> None:
        """Read a job's data. A server that cannot be reached is waited for.

        Raises:
            InvalidEntry: there is none.
            Exception: what the store raised.
        """
        ref = job.ref
        if ref is None:
            return
        if ref.in_store:
            job.set_raw(await offload.read(self._server, self._stream, ref, self._store))
            return
        gone: list[InvalidEntry] = []

        async def read() -> bytes:
            try:
                return await offload.read(self._server, self._stream, ref, None)
            except (DataGone, InvalidEntry) as error:
                gone.append(error)
                return b""

        raw = await self._reconnect.persist(f"data {self._stream}", read)
        if gone:
            raise gone[0]
        job.set_raw(raw)

    def settled(self, verdicts: Sequence[Verdict]) -> None:
        """Take note that jobs were settled whose data is outside."""
        if any(verdict.job.meta is not None and verdict.job.ref for verdict in verdicts):
            self._wanted.set()

    async def run(self) -> None:
        """Delete what nobody has any more, whenever there may be such, until cancelled."""
        while True:
            await self._wanted.wait()
            await self.delete()

    async def delete(self) -> None:
        """Delete what nobody has any more, if there may be such; once, and as far as it goes."""
        if not self._wanted.is_set():
            return
        self._wanted.clear()
        try:
            await offload.delete_unheld(self._server, self._stream, self._store)
        except StreamqError as error:
            _log.warning("%s; it is tried again with the next job", error)
