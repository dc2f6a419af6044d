"""The answers about several partitions, as one about their stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from streamq.admin.activity import ConsumerActivity
from streamq.admin.backlog import Backlog
from streamq.admin.causes import Cause, Causes
from streamq.admin.consumers import ConsumerInfo
from streamq.admin.pending import HeldFor
from streamq.admin.snapshot import GroupSnapshot, StreamSnapshot
from streamq.admin.streams import GroupInfo, StreamInfo
from streamq.wire.entry import id_key

T = TypeVar("T")

StreamOf = Callable[[str], str]
"""The name of the stream of which a key is a partition, or the key's own."""

_OLDEST = ("oldest", "oldest_queued", "oldest_pending")
_MOST = ("consumers", "gone")
"""Of a backlog: a worker has one consumer in each partition."""


def stream_of_all(stream: str, parts: Sequence[StreamInfo], partitions: int) -> StreamInfo:
    """One stream, out of what its partitions are."""
    oldest = [part for part in parts if part.oldest is not None]
    first = min(oldest, key=lambda part: id_key(part.oldest or ""), default=parts[0])
    groups = _by((group for part in parts for group in part.groups), lambda group: group.name)
    orphaned: dict[str, int] = {}
    for part in parts:
        for group, count in part.orphaned_dead_letters.items():
            orphaned[group] = orphaned.get(group, 0) + count
    return replace(
        first,
        name=stream,
        length=sum(part.length for part in parts),
        scheduled=sum(part.scheduled for part in parts),
        groups=tuple(_group(stream, some) for some in groups.values()),
        orphaned_dead_letters=orphaned,
        abandoned={name: one for part in reversed(parts) for name, one in part.abandoned.items()},
        partitions=partitions,
    )


def _group(stream: str, parts: Sequence[GroupInfo]) -> GroupInfo:
    consumers = _by((one for part in parts for one in part.consumers), lambda one: one.name)
    unsettled = [part.oldest for part in parts if part.oldest is not None]
    return replace(
        parts[0],
        stream=stream,
        queued=_sum_of_known([part.queued for part in parts]),
        **_sums(parts, "pending", "running", "retrying", "held", "stalled", "dead"),
        oldest=min(unsettled, key=id_key, default=None),
        last_delivered=max((part.last_delivered for part in parts), key=id_key),
        consumers=tuple(_consumer(some) for some in consumers.values()),
    )


def _consumer(parts: Sequence[ConsumerInfo]) -> ConsumerInfo:
    return replace(
        parts[0],
        pending=sum(part.pending for part in parts),
        idle=min(part.idle for part in parts),
        alive=any(part.alive for part in parts),
    )


def backlog_of_all(parts: Sequence[Backlog]) -> Backlog:
    """The backlog of a group, out of those that it has in each partition."""
    waits = Counter[HeldFor]()
    for part in parts:
        waits.update(part.held_for)
    numbers = ("queued", "pending", "retrying", "held", "stalled")
    return replace(
        parts[0],
        **_sums(parts, *numbers),
        **{name: max(getattr(part, name) for part in parts) for name in (*_OLDEST, *_MOST)},
        dead_letters=_sum_of_known([part.dead_letters for part in parts]),
        settled=_sum_of_known([part.settled for part in parts]),
        held_for=dict(waits),
    )


def snapshots_of_all(
    streams: Iterable[StreamSnapshot], stream_of: StreamOf
) -> tuple[StreamSnapshot, ...]:
    """The streams of a picture, the partitions of each added up."""
    found = []
    for name, parts in _by(streams, lambda one: stream_of(one.name)).items():
        if len(parts) == 1 and parts[0].name == name:
            found.append(parts[0])
            continue
        groups = _by((group for part in parts for group in part.groups), lambda one: one.name)
        found.append(
            StreamSnapshot(
                name,
                sum(part.length for part in parts),
                tuple(_group_snapshot(name, some) for some in groups.values()),
                added=_sum_of_known([part.added for part in parts]),
                added_rate=_sum_of_rates(part.added_rate for part in parts),
            )
        )
    return tuple(found)


def _group_snapshot(stream: str, parts: Sequence[GroupSnapshot]) -> GroupSnapshot:
    return replace(
        parts[0],
        stream=stream,
        backlog=backlog_of_all([part.backlog for part in parts]),
        settled_rate=_sum_of_rates(part.settled_rate for part in parts),
        dead_rate=_sum_of_rates(part.dead_rate for part in parts),
    )


def _sum_of_rates(rates: Iterable[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known else None


def activity_of_all(parts: Iterable[ConsumerActivity], most: int) -> list[ConsumerActivity]:
    """The consumers of a group, each with at most so many of the jobs that it holds."""
    found = []
    for some in _by(parts, lambda one: one.consumer.name).values():
        jobs = sorted((job for part in some for job in part.jobs), key=lambda job: id_key(job.id))
        consumer = _consumer([part.consumer for part in some])
        found.append(ConsumerActivity(consumer, tuple(jobs[:most])))
    return sorted(found, key=lambda one: (not one.consumer.alive, one.consumer.name))


def causes_of_all(parts: Sequence[Causes]) -> Causes:
    """What the dead letters of a group have in common, out of what those of each partition have."""
    found = []
    for some in _by((one for part in parts for one in part.found), lambda one: one.name).values():
        types = Counter[str]()
        for one in some:
            types.update(one.types)
        latest = max((one.latest for one in some), key=lambda letter: letter.dead_since)
        count, since = sum(one.count for one in some), min(one.since for one in some)
        found.append(Cause(some[0].name, count, since, latest, dict(types)))
    return Causes(
        tuple(sorted(found, key=lambda one: -one.count)),
        sum(part.looked_at for part in parts),
        all(part.complete for part in parts),
    )


def counts_of_all(parts: Sequence[T]) -> T:
    """Answers that are made of counts, added up."""
    names = [field.name for field in fields(parts[0])]  # type: ignore[arg-type]  # dataclasses
    return replace(parts[0], **_sums(parts, *names))  # type: ignore[type-var]


def merged(parts: Iterable[Mapping[str, T]]) -> dict[str, T]:
    """What several answers say of some IDs, each of which is in one of them."""
    return {id: answer for part in parts for id, answer in part.items()}


def _sum_of_known(counts: Sequence[int | None]) -> int | None:
    return None if None in counts else sum(count or 0 for count in counts)


def _sums(parts: Sequence[Any], *names: str) -> dict[str, Any]:
    return {name: sum(getattr(part, name) for part in parts) for name in names}


def _by(items: Iterable[T], name_of: Callable[[T], str]) -> dict[str, list[T]]:
    found: dict[str, list[T]] = {}
    for item in items:
        found.setdefault(name_of(item), []).append(item)
    return found
