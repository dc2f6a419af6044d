"""Waiting until replicas have what was written, with the server's ``WAIT``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from typing import Any

from streamq.errors import ConfigError, NotReplicated
from streamq.limits import MAX_REPLICA_TIMEOUT, MIN_REPLICA_TIMEOUT, REPLICA_TIMEOUT
from streamq.server import Link
from streamq.server.packing import pack


class Replication:
    """How many replicas must acknowledge what is written, and in what time.

    Args:
        replicas: how many.
        timeout: seconds until the writer learns that they did not.

    Raises:
        ConfigError: these are no such numbers.
    """

    def __init__(self, replicas: int, timeout: float = REPLICA_TIMEOUT) -> None:
        if replicas < 1:
            raise ConfigError(f"replicas={replicas!r}: give how many, or 0 to wait for none")
        if not MIN_REPLICA_TIMEOUT <= timeout <= MAX_REPLICA_TIMEOUT:
            raise ConfigError(
                f"replica_timeout={timeout!r}: give seconds, "
                f"{MIN_REPLICA_TIMEOUT:g} to {MAX_REPLICA_TIMEOUT:g}"
            )
        self._replicas = replicas
        self._timeout = timeout
        self._wait = pack(("WAIT", replicas, int(timeout * 1000)))

    async def write(self, link: Link, packed: bytes, count: int) -> Sequence[Any]:
        """Send writes, and let the server answer once the replicas have them.

        It takes one round trip. Each command must write something, for the server waits
        for the last write of the connection, and after none at all it waits for nothing.

        Args:
            packed: the commands, each of which returns an ID, or a list that begins with one.
            count: how many they are.

        Returns:
            Their replies. An error reply is returned in its place; then nothing is known of
            the replicas.

        Raises:
            NotReplicated: too few replicas have acknowledged the writes in time.
            ServerUnavailable: as for :meth:`Link.exchange`.
        """
        *replies, acknowledged = await link.exchange(
            packed + self._wait, count + 1, block=self._timeout
        )
        enough = isinstance(acknowledged, int) and acknowledged >= self._replicas
        if enough or any(isinstance(reply, Exception) for reply in replies):
            return replies
        ids = [str(id, "ascii") for reply in replies for id in _ids(reply)]
        if not ids:
            return replies  # there was no room for any
        raise NotReplicated(self._explain(ids, acknowledged), ids)

    async def pipeline(
        self, link: Link, commands: AsyncIterable[tuple[bytes, int]]
    ) -> AsyncGenerator[Sequence[Any], None]:
        """Several lots of writes one after the other; as :meth:`Link.pipeline`.

        Unlike there, none is sent before the last is acknowledged: it may be that no more
        is to be written.
        """
        async for packed, count in commands:
            yield await self.write(link, packed, count)

    def _explain(self, ids: Sequence[str], acknowledged: int | Exception) -> str:
        what, them = f"the job {ids[0]} is written", "it"
        if len(ids) > 1:
            what, them = f"{len(ids):,} jobs, {ids[0]} to {ids[-1]}, are written", "them"
        if isinstance(acknowledged, Exception):
            return f"{what}, but whether replicas have {them} is not known: {acknowledged}"
        return (
            f"{what}, but {acknowledged} of {self._replicas} replicas acknowledged {them} within "
            f"{self._timeout:g} s: a failover may lose {them}; produced again with the same "
            "idempotency key, a job is not written twice"
        )


def _ids(reply: Any) -> Sequence[bytes]:
    """The IDs in a reply: of ``XADD``, of ``produce_within.lua``, or of a script for one job."""
    if not isinstance(reply, list):
        return (reply,)
    return reply[1:] if isinstance(reply[0], int) else reply[:1]
