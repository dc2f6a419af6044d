"""Which partition has which key, the same in every process and in every language."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from streamq.errors import ConfigError
from streamq.limits import MAX_PARTITIONS
from streamq.text import printable
from streamq.wire.keys import check_stream


@dataclass(frozen=True, slots=True)
class Partitioned:
    """One stream over several keys, so that several nodes of a Cluster can share it::

        app = App("redis://…", streams={"jobs": Partitioned(8)})

    Jobs with the same order key are in the same partition; those without one go to each in turn.

    Args:
        partitions: how many a stream has that has none yet, 1 to 1,024. It is the server's number
            that counts; ``streamq stream grow`` raises it.

    Raises:
        ConfigError: that is no such number.
    """

    partitions: int

    def __post_init__(self) -> None:
        count = self.partitions
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise ConfigError(f"Partitioned({count!r}): give how many, one or more")
        if count > MAX_PARTITIONS:
            raise ConfigError(f"Partitioned({count}): give {MAX_PARTITIONS:,} at most")


def check_partitioned(streams: Mapping[str, Partitioned] | None) -> dict[str, Partitioned]:
    """The streams of an app that have partitions.

    Raises:
        ConfigError: a name cannot be used, or a value is no :class:`Partitioned`.
    """
    found = dict(streams or {})
    for name, value in found.items():
        check_stream(name)
        if not isinstance(value, Partitioned):
            raise ConfigError(
                f"streams={{{name!r}: {printable(repr(value), 60)}}}: give Partitioned(8), or "
                "leave the stream out"
            )
    return found


def hash_of(key: str) -> int:
    """The number by which a key finds its partition: the CRC-32 of its UTF-8 bytes.

    The partition is its remainder by the number of partitions. When that number is multiplied, a
    key stays where it is or goes to a new partition, and none goes to another old one.
    """
    return zlib.crc32(key.encode())
