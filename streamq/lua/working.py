"""What a worker runs: fetching, settling, leases, promotion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from streamq.lua.loader import Arg, Call, load
from streamq.wire.keys import GroupKeys, StreamKeys, data_keys


def settle(
    keys: GroupKeys, consumer: str, record_ttl: int, count: int,
    more_keys: Sequence[str], pairs: Sequence[Arg], verdicts: Sequence[Arg], history: int = 0,
) -> Call:  # fmt: skip
    """Apply ``count`` verdicts; see ``settle.lua`` for the form of ``verdicts``.

    Args:
        record_ttl: how long status records are kept, ms.
        history: how many of a job's attempts its record remembers.
        more_keys: targets of emitted events and status records, in the order of use.
        pairs: entry ID and delivery count of each.
    """
    return Call(
        load("settle"),
        (keys.stream, keys.retry, keys.dlq, keys.cancelled, *more_keys),
        (keys.group, consumer, record_ttl, history, count, *pairs, *verdicts),
    )


def settle_and_admit(
    rules: str, room: int, keys: GroupKeys, consumer: str, record_ttl: int, count: int,
    more_keys: Sequence[str], pairs: Sequence[Arg], verdicts: Sequence[Arg], history: int = 0,
) -> Call:  # fmt: skip
    """Settle, and let those run next that waited for it.

    Args:
        rules: as JSON; see ``includes/flow.lua``.
        room: for how many deliveries the consumer has room.
    """
    return Call(
        load("settle_and_admit"),
        (keys.stream, keys.retry, keys.dlq, keys.cancelled, *keys.flow, *more_keys),
        (keys.group, consumer, record_ttl, history, count, *pairs, *verdicts, rules, room),
    )


def admit(keys: GroupKeys, consumer: str, most: int, rules: str) -> Call:
    """Read for a group with rules: what may run now."""
    return Call(
        load("admit"),
        (keys.stream, keys.retry, *keys.flow, keys.cancelled),
        (keys.group, consumer, most, rules),
    )


def sweep(keys: GroupKeys, rules: str, places: Sequence[str]) -> Call:
    """Put right what other hands have left of a group's flow control.

    Args:
        rules: as JSON, empty for none.
        places: where the last sweep left off: three of them.
    """
    return Call(
        load("sweep"),
        (keys.stream, keys.retry, *keys.flow, keys.cancelled),
        (keys.group, rules, *places),
    )


def rights(keys: GroupKeys, stream_keys: StreamKeys) -> Call:
    """What a worker's user lacks of all that the scripts of a worker do."""
    return Call(
        load("rights"),
        (
            keys.stream, keys.retry, keys.dlq, keys.reclaim_lock, keys.job("0-1"),
            stream_keys.scheduled, stream_keys.scheduled_jobs, keys.state, *keys.flow,
            keys.cancelled,
            stream_keys.cron,
            stream_keys.data_holders, stream_keys.data_unheld, stream_keys.data("a"),
            stream_keys.settings,
            stream_keys.schedule_id("s"), stream_keys.unique("k"),
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
    heal_from: str = "-", rules: str = "",
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
        rules: of the group, as JSON; see ``includes/flow.lua``.
    """
    by_type = [part for pair in deliveries_by_type.items() for part in pair]
    return Call(
        load("reclaim"),
        (
            keys.stream, keys.retry, keys.dlq, keys.reclaim_lock, *data_keys(keys.stream),
            *keys.flow,
        ),
        (
            keys.group, consumer, lease, most, pause, silence, deliveries, last_chances,
            heal_from, rules, *by_type,
        ),
    )  # fmt: skip


def note_lost(keys: GroupKeys, history: int, lost: Sequence[tuple[str, int, bytes, int]]) -> Call:
    """Note attempts whose worker was lost.

    Args:
        history: how many of a job's attempts its record remembers.
        lost: of each entry ID, delivery count, consumer, and for how long its record is kept
            from now on, ms.
    """
    parts: list[Arg] = [history]
    for _, count, consumer, keep in lost:
        parts += (count, consumer, keep)
    return Call(load("note_lost"), tuple(keys.job(id) for id, *_ in lost), parts)


def release(keys: GroupKeys, consumer: str, most: int, known: Iterable[str | bytes] = ()) -> Call:
    """Give back what a consumer holds, but for the ``known``."""
    return Call(load("release"), (keys.stream, keys.retry), (keys.group, consumer, most, *known))


def retire(keys: GroupKeys, consumer: str) -> Call:
    """Remove a consumer that holds nothing."""
    return Call(load("retire"), (keys.stream, keys.reclaim_lock), (keys.group, consumer))


def note_progress(
    keys: GroupKeys, consumer: str, keep: int, ids: Sequence[str], pairs: Sequence[Arg],
    notes: Sequence[Arg],
) -> Call:  # fmt: skip
    """Note how far running jobs are.

    Args:
        keep: how long a note is kept, ms.
        pairs: entry ID and delivery count of each.
        notes: progress and note of each.
    """
    return Call(
        load("note_progress"),
        (keys.stream, keys.dlq, *map(keys.job, ids)),
        (keys.group, consumer, keep, len(ids), *pairs, *notes),
    )


def due(keys: StreamKeys, most: int) -> Call:
    """Look for scheduled jobs that are due, and how long it is until the next one is."""
    return Call(load("due"), (keys.scheduled, keys.scheduled_jobs, keys.cron), (most,))


def promote(keys: StreamKeys, found: Sequence[tuple[bytes, bytes]], memory: int) -> Call:
    """Write scheduled jobs that are due to their stream.

    Args:
        found: name and idempotency key of each (empty for none), as ``due.lua`` tells them.
        memory: for how long a name leads to its entry, ms.
    """
    of_names: list[str] = []
    args: list[Arg] = [memory]
    for name, key in found:
        # One that streamq has not written may be no UTF-8: then its key is anything of its slot.
        of_names.append(keys.schedule_id(name.decode(errors="replace")))
        if key:
            of_names.append(keys.unique(key.decode(errors="replace")))
        args += (name, int(bool(key)))
    return Call(
        load("promote"), (keys.stream, keys.scheduled, keys.scheduled_jobs, *of_names), args
    )


def tick(
    keys: StreamKeys, version: bytes, name: str, start: int, last: int, overlap: str,
    jobs: Sequence[Sequence[Arg]],
) -> Call:  # fmt: skip
    """Write the jobs of a schedule's ticks, once.

    Args:
        version: of the schedules, as they were read.
        start: the time after which its ticks are due, ms.
        last: the last of these ticks, ms.
        jobs: fields of the entry of each.
    """
    size = len(jobs[0]) if jobs else 1
    fields = [field for job in jobs for field in job]
    return Call(
        load("tick"), (keys.stream, keys.cron),
        (version, name, start, last, overlap, size, *fields),
    )  # fmt: skip


def cron_seen(keys: StreamKeys, names: Sequence[str]) -> Call:
    """Note that a worker is there that has these schedules in its code."""
    return Call(load("cron_seen"), (keys.cron,), tuple(names))


def trim(keys: StreamKeys, most: int, *, offloads: bool = False) -> Call:
    """Delete retained entries that are too old, about ``most`` of them.

    Args:
        offloads: look whether their data is kept outside the stream, and let that go, too.
    """
    return Call(
        load("trim"),
        (keys.stream, keys.settings, keys.data_holders, keys.data_unheld),
        (most, int(offloads)),
    )


def abandon(keys: GroupKeys, stream_keys: StreamKeys, after: int, lease: int) -> Call:
    """Look whether a group is abandoned, and let it keep no more entries; times in ms."""
    return Call(
        load("abandon"),
        (
            keys.stream,
            stream_keys.settings,
            keys.retry,
            keys.dlq,
            stream_keys.data_holders,
            stream_keys.data_unheld,
        ),
        (keys.group, after, lease),
    )


def settings(keys: StreamKeys) -> Call:
    """Read what all workers of a stream agree on."""
    return Call(load("settings"), (keys.settings,), ())
