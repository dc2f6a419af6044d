"""The streams on which the benchmark works, and their removal."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from streamq.admin.reading import ask
from streamq.errors import StreamqError
from streamq.server import Server
from streamq.wire.keys import group_keys, stream_keys

GROUP = "bench"

EXPIRES = 900.0
"""Seconds after which a stream goes by itself if it was not removed."""

REMOVED_AT_ONCE = 500


@asynccontextmanager
async def scratch_stream(server: Server, tell: Callable[[str], None]) -> AsyncIterator[Scratch]:
    """A stream for the length of a ``with`` block, removed whatever happens there.

    Args:
        tell: called with a line for a person if it could not be removed.
    """
    scratch = Scratch(server)
    with anyio.CancelScope(shield=True):
        await scratch.create()
    try:
        yield scratch
    finally:
        with anyio.CancelScope(shield=True):
            try:
                await scratch.remove()
            except BaseException:
                tell(
                    f"The benchmark's stream {scratch.name} could not be removed: "
                    f"it expires within {EXPIRES / 60:g} min"
                )
                raise


class Scratch:
    """A stream with a random name, and all that belongs to it.

    Attributes:
        ids: of the jobs that were written in bulk; each may have a status record.
    """

    def __init__(self, server: Server) -> None:
        self.name = f"streamq-bench-{secrets.token_hex(8)}"
        self.keys = group_keys(self.name, GROUP)
        self.ids: list[str] = []
        self._server = server

    async def create(self) -> None:
        """Make the stream and its group, so that they expire."""
        replies = await ask(
            self._server,
            ("XGROUP", "CREATE", self.name, GROUP, "0", "MKSTREAM"),
            ("PEXPIRE", self.name, int(EXPIRES * 1000)),
        )
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply

    async def remove(self) -> None:
        """Remove every key that can have come into being."""
        # The stream goes first: without it, no script that may still arrive writes anything.
        keys, of_stream = self.keys, stream_keys(self.name)
        names = [
            self.name, keys.retry, keys.dlq, keys.reclaim_lock,
            of_stream.scheduled, of_stream.scheduled_jobs, *map(keys.job, self.ids),
        ]  # fmt: skip
        for start in range(0, len(names), REMOVED_AT_ONCE):
            await self._server.call("UNLINK", *names[start : start + REMOVED_AT_ONCE])

    def changed(self) -> StreamqError:
        """The error for jobs that were not processed once each."""
        return StreamqError(
            f"the benchmark's stream {self.name} was changed by another program: "
            "measure again when nothing else uses it"
        )
