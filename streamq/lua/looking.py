"""What only reads."""

from __future__ import annotations

from collections.abc import Sequence

from streamq.lua.loader import Call, load
from streamq.wire.keys import GroupKeys, StreamKeys


def scheduled(keys: StreamKeys, start: str, skip: int, count: int) -> Call:
    """Look at the jobs for later; ``skip``: how many due at ``start`` to leave out."""
    return Call(load("scheduled"), (keys.scheduled, keys.scheduled_jobs), (start, skip, count))


def find_scheduled(keys: StreamKeys, name: str) -> Call:
    """Look for one job for later: it waits, or has become an entry."""
    return Call(
        load("find_scheduled"),
        (keys.scheduled, keys.scheduled_jobs, keys.schedule_id(name)),
        (name,),
    )


def page(
    stream: str, start: str, end: str, count: int, *, cut: int = -1, newest_first: bool = False
) -> Call:
    """Read a page of a stream; ``cut``: bytes of each value at most, -1 for all."""
    return Call(load("page"), (stream,), (start, end, count, cut, int(newest_first)))


def peek(keys: GroupKeys, cut: int, ids: Sequence[str]) -> Call:
    """Look at pending entries; ``cut``: bytes of each value at most."""
    return Call(
        load("peek"),
        (keys.stream, keys.retry, *keys.flow, *map(keys.job, ids)),
        (keys.group, cut, *ids),
    )


def progress(stream: str, most: int) -> Call:
    """How far each group has come; ``most``: entries to count where the lag is unknown."""
    return Call(load("progress"), (stream,), (most,))


def outcomes(keys: GroupKeys, ids: Sequence[str]) -> Call:
    """What has become of jobs in one group."""
    return Call(load("outcomes"), (keys.stream, *map(keys.job, ids)), (keys.group, *ids))


def count(stream: str, start: str, stop: str) -> Call:
    """Count entries, a bounded step at a call."""
    return Call(load("count"), (stream,), (start, stop))
