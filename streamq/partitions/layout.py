"""How many partitions a stream has, as its settings on the server say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from streamq.errors import AuthenticationFailed, ServerRefused, WrongKeyType
from streamq.partitions.mapping import hash_of
from streamq.server import Server
from streamq.wire.keys import partition_name, stream_keys


class Layout(NamedTuple):
    """The partitions of a stream.

    Attributes:
        partitions: how many; 0 for a stream that has none.
        earlier: how many it had before, oldest first; 0 where it had none and was written to.
        growing: how many it is about to have, 0 when it does not grow.
    """

    stream: str
    partitions: int = 0
    earlier: tuple[int, ...] = ()
    growing: int = 0

    def name(self, number: int) -> str:
        """The key of a partition."""
        return partition_name(self.stream, number)

    def names(self) -> list[str]:
        """The keys of all partitions; of a stream that has none, its own."""
        return [self.name(number) for number in range(self.partitions)] or [self.stream]

    def of(self, key: str) -> int:
        """The number of the partition that has a key."""
        return hash_of(key) % self.partitions

    def once_of(self, key: str) -> list[str]:
        """The other keys of the server where jobs of a key were written when there were fewer
        partitions, newest first."""
        now, number = self.name(self.of(key)), hash_of(key)
        places = [self.name(number % n) if n else self.stream for n in reversed(self.earlier)]
        return [place for place in dict.fromkeys(places) if place != now]


async def read_layout(server: Server, stream: str) -> Layout:
    """The partitions of a stream, also of one that has none.

    Raises:
        ServerError: the server cannot be used.
    """
    key = stream_keys(stream).settings
    try:
        count, earlier, growing = await server.call(
            "HMGET", key, "partitions", "earlier", "growing"
        )
    except (WrongKeyType, AuthenticationFailed):
        return Layout(stream)  # who works with the stream says so
    return Layout(stream, _number(count), _numbers(earlier), _number(growing))


async def has_own_entries(server: Server, stream: str) -> bool:
    """Whether there is a stream under the plain name, too: written to by other programs, or
    before it had partitions."""
    try:
        return bool(await server.call("EXISTS", stream))
    except AuthenticationFailed:
        return False


async def groups_of(server: Server, stream: str) -> Sequence[str]:
    """The groups of one key, as far as it exists; those that keep settled entries as well."""
    try:
        rows = await server.call("XINFO", "GROUPS", stream)
    except ServerRefused as error:
        if "no such key" in str(error):
            return []
        raise
    return [row[1].decode("utf-8", "surrogateescape") for row in rows]


def _number(raw: bytes | None) -> int:
    return int(raw) if raw is not None and raw.isdigit() and len(raw) < 10 else 0


def _numbers(raw: bytes | None) -> tuple[int, ...]:
    return tuple(int(part) for part in (raw or b"").split() if part.isdigit() and len(part) < 10)
