"""What makes a stream of several partitions, and keeps the jobs of a key in theirs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from streamq.lua.loader import Arg, Call, in_front, load
from streamq.wire.keys import GroupKeys, StreamKeys


def in_partition(call: Call, settings: str, count: int) -> Call:
    """A call that writes to a partition, refused there when it has another number of them.

    Args:
        settings: the key of the partition's settings.
        count: how many partitions the writer knows.
    """
    return Call(in_front("partition", call.script), (*call.keys, settings), (*call.args, count))


def if_known(call: Call, unique: str) -> Call:
    """A call that writes a job once, refused where its idempotency key is not known."""
    return Call(in_front("if_known", call.script), (*call.keys, unique), call.args)


def produce_all(stream: str, entries: Iterable[Sequence[Arg]]) -> Call:
    """Write entries, in order."""
    strings = [part for fields in entries for part in (len(fields), *fields)]
    return Call(load("produce_all"), (stream,), strings)


def grow_begin(keys: StreamKeys, count: int, target: int) -> Call:
    """Note that a stream of ``count`` partitions is to have ``target``."""
    return Call(load("grow_begin"), (keys.stream, keys.settings), (count, target))


def grow_from(keys: StreamKeys, count: int) -> Call:
    """Let a partition take only the keys that stay in it when there are ``count``."""
    return Call(load("grow_from"), (keys.stream, keys.settings), (count,))


def grow_open(keys: StreamKeys, count: int, source: str, end: str) -> Call:
    """Open a new partition; until now, ``source`` had its keys, the last of them in ``end``."""
    return Call(load("grow_open"), (keys.settings,), (count, source, end))


def grow_end(keys: StreamKeys, count: int) -> Call:
    """Note that a stream has ``count`` partitions from now on."""
    return Call(load("grow_end"), (keys.settings,), (count,))


def settled_until(keys: GroupKeys, last: str) -> Call:
    """Ask whether a group has settled all that was written to a stream up to ``last``."""
    return Call(load("settled_until"), (keys.stream,), (keys.group, last))
