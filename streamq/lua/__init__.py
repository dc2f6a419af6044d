"""The Lua scripts, and a typed way to call each.

A script is one ``.lua`` file; its header names its keys, its arguments and what it
returns. Shared fragments stand in ``includes/`` and are put in where a line says
``--@include name``, once each. The functions here build a :class:`Call`; sending it
is the connection's business, reading the reply the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from streamq.lua.loader import Arg, Call, Script, in_front, load
from streamq.wire.keys import GroupKeys, StreamKeys

__all__ = ["Arg", "Call", "Script", "load"]


def settle(
    keys: GroupKeys, consumer: str, record_ttl: int, count: int,
    more_keys: Sequence[str], pairs: Sequence[Arg], verdicts: Sequence[Arg],
) -> Call:  # fmt: skip
    """Apply ``count`` verdicts; see ``settle.lua`` for the form of ``verdicts``.

    Args:
        record_ttl: how long status records are kept, ms.
        more_keys: targets of emitted events and status records, in the order of use.
        pairs: entry ID and delivery count of each.
    """
    return Call(
        load("settle"),
        (keys.stream, keys.retry, keys.dlq, *more_keys),
        (keys.group, consumer, record_ttl, count, *pairs, *verdicts),
    )


def rights(keys: GroupKeys, stream_keys: StreamKeys) -> Call:
    """What a worker's user lacks of all that the scripts of a worker do."""
    return Call(
        load("rights"),
        (
            keys.stream, keys.retry, keys.dlq, keys.reclaim_lock, keys.job("0-1"),
            stream_keys.scheduled, stream_keys.scheduled_jobs, stream_keys.settings,
        ),
        (keys.group,),
    )  # fmt: skip


def extend(keys: GroupKeys, consumer: str, pairs: Sequence[Arg]) -> Call:
    """Renew the leases of entries; ``pairs``: entry ID and delivery count of each."""
    return Call(load("extend"), (keys.stream,), (keys.group, consumer, *pairs))


def claim_due(keys: GroupKeys, consumer: str, most: int) -> Call:
    """Claim parked entries that are due."""
    return Call(load("claim_due"), (keys.stream, keys.retry), (keys.group, consumer, most))


def reclaim(
    keys: GroupKeys, consumer: str, most: int, *, lease: int, pause: int, silence: int,
    deliveries: int, deliveries_by_type: Mapping[str, int], last_chances: int = -1,
    heal_from: str = "-",
) -> Call:  # fmt: skip
    """Take over stalled entries.

    Args:
        most: how many at most.
        lease: ms of idle time after which an entry is stalled.
        pause: ms for which no other reclaim is needed.
        silence: ms after which a consumer without entries is removed.
        deliveries: how many a job may have, by default.
        deliveries_by_type: the same for certain types.
        last_chances: how many may be taken whose last delivery it would be; -1 for any.
        heal_from: where the last reclaim left off looking at parked entries.
    """
    by_type = [part for pair in deliveries_by_type.items() for part in pair]
    return Call(
        load("reclaim"),
        (keys.stream, keys.retry, keys.dlq, keys.reclaim_lock),
        (
            keys.group, consumer, lease, most, pause, silence, deliveries, last_chances,
            heal_from, *by_type,
        ),
    )  # fmt: skip


def release(keys: GroupKeys, consumer: str, most: int, known: Iterable[str | bytes] = ()) -> Call:
    """Give back what a consumer holds, but for the ``known``."""
    return Call(load("release"), (keys.stream, keys.retry), (keys.group, consumer, most, *known))


def retire(keys: GroupKeys, consumer: str) -> Call:
    """Remove a consumer that holds nothing."""
    return Call(load("retire"), (keys.stream, keys.reclaim_lock), (keys.group, consumer))


def retry_now(keys: GroupKeys, stalled_after: int, ids: Sequence[str]) -> Call:
    """Let pending entries be retried now; ``stalled_after`` is in ms."""
    return Call(load("retry_now"), (keys.stream, keys.retry), (keys.group, stalled_after, *ids))


def to_dead_letters(keys: GroupKeys, error: str, ids: Sequence[str]) -> Call:
    """Make pending entries dead letters by hand."""
    return Call(
        load("to_dead_letters"),
        (keys.stream, keys.retry, keys.dlq, *map(keys.job, ids)),
        (keys.group, error, *ids),
    )


def redrive(keys: GroupKeys, ids: Sequence[str]) -> Call:
    """Send dead letters back to their stream."""
    return Call(load("redrive"), (keys.stream, keys.dlq), (keys.group, *ids))


def prune(stream: str, start: str, count: int) -> Call:
    """Delete what every remaining group has settled, a chunk at a call."""
    return Call(load("prune"), (stream,), (start, count))


def produce_once(keys: StreamKeys, key: str, key_ttl: int, fields: Sequence[Arg]) -> Call:
    """Write an entry unless its idempotency key is known; ``key_ttl`` is in ms."""
    return Call(
        load("produce_once"),
        (keys.stream, keys.unique(key), keys.scheduled),
        (key_ttl, *fields),
    )


def schedule(
    keys: StreamKeys, name: str, when: tuple[str, int], key: str | None, key_ttl: int,
    fields: Sequence[Arg],
) -> Call:  # fmt: skip
    """Keep a job until its time comes.

    Args:
        when: ``("in", ms)`` or ``("at", Unix time in ms)``.
        key: an idempotency key. The schedule's own name serves as one for a job that may
            be written before a repeated call arrives.
        key_ttl: how long ``key`` is remembered after the due time, ms.
    """
    unique = () if key is None else (keys.unique(key),)
    return Call(
        load("schedule"),
        (keys.scheduled, keys.scheduled_jobs, *unique),
        (*when, name, key_ttl, key or "", *fields),
    )


def promote(keys: StreamKeys, most: int) -> Call:
    """Write the scheduled jobs that are due to their stream."""
    return Call(load("promote"), (keys.stream, keys.scheduled, keys.scheduled_jobs), (most,))


def scheduled(keys: StreamKeys, start: str, skip: int, count: int) -> Call:
    """Look at the jobs for later; ``skip``: how many due at ``start`` to leave out."""
    return Call(load("scheduled"), (keys.scheduled, keys.scheduled_jobs), (start, skip, count))


def unschedule(keys: StreamKeys, name: str, key: str | None) -> Call:
    """Take a scheduled job back, and forget its idempotency key."""
    unique = () if key is None else (keys.unique(key),)
    return Call(load("unschedule"), (keys.scheduled, keys.scheduled_jobs, *unique), (name,))


def page(
    stream: str, start: str, end: str, count: int, *, cut: int = -1, newest_first: bool = False
) -> Call:
    """Read a page of a stream; ``cut``: bytes of each value at most, -1 for all."""
    return Call(load("page"), (stream,), (start, end, count, cut, int(newest_first)))


def peek(keys: GroupKeys, cut: int, ids: Sequence[str]) -> Call:
    """Look at pending entries; ``cut``: bytes of each value at most."""
    return Call(
        load("peek"),
        (keys.stream, keys.retry, *map(keys.job, ids)),
        (keys.group, cut, *ids),
    )


def progress(stream: str, most: int) -> Call:
    """How far each group has come; ``most``: entries to count where the lag is unknown."""
    return Call(load("progress"), (stream,), (most,))


def purge(dlq: str, ids: Sequence[str]) -> Call:
    """Delete dead letters."""
    return Call(load("purge"), (dlq,), tuple(ids))


def destroy(keys: GroupKeys, silence: int, *, dead_letters: bool) -> Call:
    """Delete a group and its keys.

    Args:
        silence: ms after which a consumer counts as gone; 0 deletes in any case.
        dead_letters: also delete its dead letters.
    """
    return Call(
        load("destroy"),
        (keys.stream, keys.retry, keys.reclaim_lock, keys.dlq),
        (keys.group, silence, int(dead_letters)),
    )


# -- retention, replay, backpressure ------------------------------------------


def configure(keys: StreamKeys, changes: Mapping[str, int | None]) -> Call:
    """Set what all workers of a stream agree on; ``None`` takes a setting away."""
    pairs = [
        part for name, value in changes.items() for part in (name, "" if value is None else value)
    ]
    return Call(load("configure"), (keys.stream, keys.settings), pairs)


def settings(keys: StreamKeys) -> Call:
    """Read what all workers of a stream agree on."""
    return Call(load("settings"), (keys.settings,), ())


def trim(keys: StreamKeys, most: int) -> Call:
    """Delete retained entries that are too old, about ``most`` of them."""
    return Call(load("trim"), (keys.stream, keys.settings), (most,))


def abandon(keys: GroupKeys, stream_keys: StreamKeys, after: int, lease: int) -> Call:
    """Look whether a group is abandoned, and let it keep no more entries; times in ms."""
    return Call(
        load("abandon"),
        (keys.stream, stream_keys.settings, keys.retry, keys.dlq),
        (keys.group, after, lease),
    )


def count(stream: str, start: str, stop: str) -> Call:
    """Count entries, a bounded step at a call."""
    return Call(load("count"), (stream,), (start, stop))


def rewind(keys: GroupKeys, to: str, entries_read: int, silence: int, *, force: bool) -> Call:
    """Move a group's place back.

    Args:
        to: the group is given the entries after this ID.
        entries_read: how many entries the stream ever had up to there; -1 for unknown.
        silence: ms after which a consumer counts as gone.
        force: do it in spite of consumers that are alive and of pending jobs.
    """
    return Call(
        load("rewind"), (keys.stream, keys.retry),
        (keys.group, to, entries_read, silence, int(force)),
    )  # fmt: skip


def replay(keys: GroupKeys, ids: Sequence[str]) -> Call:
    """Give entries that a group has settled to it once more."""
    return Call(load("replay"), (keys.stream,), (keys.group, *ids))


def produce_within(stream: str, most: int, entries: Iterable[Sequence[Arg]]) -> Call:
    """Write entries while no more than ``most`` wait to be settled."""
    strings = [part for fields in entries for part in (len(fields), *fields)]
    return Call(load("produce_within"), (stream,), (most, *strings))


def within(call: Call, most: int) -> Call:
    """A call that writes to its first key, refused when ``most`` entries wait there."""
    return Call(in_front("full", call.script), call.keys, (*call.args, most))
