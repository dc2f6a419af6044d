"""The Lua scripts, and a typed way to call each.

A script is one ``.lua`` file; its header names its keys, its arguments and what it
returns. Shared fragments stand in ``includes/`` and are put in where a line says
``--@include name``, once each. The functions here build a :class:`Call`; sending it
is the connection's business, reading the reply the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from streamq.lua.loader import Arg, Call, Script, in_front, load, with_data
from streamq.wire.keys import GroupKeys, StreamKeys, stream_keys

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
        (keys.stream, keys.retry, keys.dlq, keys.cancelled, *more_keys),
        (keys.group, consumer, record_ttl, count, *pairs, *verdicts),
    )


def settle_and_admit(
    rules: str, room: int, keys: GroupKeys, consumer: str, record_ttl: int, count: int,
    more_keys: Sequence[str], pairs: Sequence[Arg], verdicts: Sequence[Arg],
) -> Call:  # fmt: skip
    """Settle, and let those run next that waited for it.

    Args:
        rules: as JSON; see ``includes/flow.lua``.
        room: for how many deliveries the consumer has room.
    """
    return Call(
        load("settle_and_admit"),
        (keys.stream, keys.retry, keys.dlq, keys.cancelled, *keys.flow, *more_keys),
        (keys.group, consumer, record_ttl, count, *pairs, *verdicts, rules, room),
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


def cancel(keys: GroupKeys, stalled_after: int, record_ttl: int, ids: Sequence[str]) -> Call:
    """Cancel jobs in one group; both times are in ms."""
    data = stream_keys(keys.stream)
    return Call(
        load("cancel"),
        (
            keys.stream,
            keys.retry,
            keys.cancelled,
            *keys.flow,
            data.data_holders,
            data.data_unheld,
            *map(keys.job, ids),
        ),
        (keys.group, stalled_after, record_ttl, *ids),
    )


def set_state(keys: GroupKeys, fields: Mapping[str, str]) -> Call:
    """Set what an operator says of a group; see the script for the values."""
    flat = [part for pair in fields.items() for part in pair]
    return Call(load("set_state"), (keys.stream, keys.state), (keys.group, *flat))


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
            keys.stream, keys.retry, keys.dlq, keys.reclaim_lock, *_offloaded(keys.stream),
            *keys.flow,
        ),
        (
            keys.group, consumer, lease, most, pause, silence, deliveries, last_chances,
            heal_from, rules, *by_type,
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
        (keys.stream, keys.retry, keys.dlq, *_offloaded(keys.stream), *map(keys.job, ids)),
        (keys.group, error, *ids),
    )


def outcomes(keys: GroupKeys, ids: Sequence[str]) -> Call:
    """What has become of jobs in one group."""
    return Call(load("outcomes"), (keys.stream, *map(keys.job, ids)), (keys.group, *ids))


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


def redrive(keys: GroupKeys, ids: Sequence[str]) -> Call:
    """Send dead letters back to their stream."""
    return Call(load("redrive"), (keys.stream, keys.dlq), (keys.group, *ids))


def prune(stream: str, start: str, count: int) -> Call:
    """Delete what every remaining group has settled, a chunk at a call."""
    return Call(load("prune"), (stream, *_offloaded(stream)), (start, count))


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
    return Call(
        load("promote"), (keys.stream, keys.scheduled, keys.scheduled_jobs, keys.cron), (most,)
    )


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
        (keys.stream, keys.retry, *keys.flow, *map(keys.job, ids)),
        (keys.group, cut, *ids),
    )


def progress(stream: str, most: int) -> Call:
    """How far each group has come; ``most``: entries to count where the lag is unknown."""
    return Call(load("progress"), (stream,), (most,))


def purge(dlq: str, ids: Sequence[str]) -> Call:
    """Delete dead letters."""
    return Call(load("purge"), (dlq,), tuple(ids))


def purge_offloaded(keys: GroupKeys, ids: Sequence[str], refs: Sequence[str]) -> Call:
    """Delete dead letters, some of which have their data outside the stream.

    Args:
        refs: for each where its data is, or ``""``.
    """
    return Call(load("purge"), (keys.dlq, *_offloaded(keys.stream)), (*ids, *refs))


def let_go(keys: StreamKeys, refs: Sequence[str]) -> Call:
    """Take note that entries or dead letters are gone whose data is outside the stream."""
    return Call(load("let_go"), _offloaded(keys.stream), tuple(refs))


def produce(stream: str, fields: Sequence[Arg]) -> Call:
    """Write an entry, where its data is kept outside the stream: see :func:`keep_data`."""
    return Call(load("produce"), (stream,), tuple(fields))


def keep_data(call: Call, key: str, data: bytes) -> Call:
    """Keep data under a key, and run a script that writes its entry: both or neither."""
    return Call(with_data(call.script), (*call.keys, key), (*call.args, data))


def _offloaded(stream: str) -> tuple[str, str]:
    keys = stream_keys(stream)
    return keys.data_holders, keys.data_unheld


def destroy(keys: GroupKeys, silence: int, *, dead_letters: bool) -> Call:
    """Delete a group and its keys.

    Args:
        silence: ms after which a consumer counts as gone; 0 deletes in any case.
        dead_letters: also delete its dead letters.
    """
    return Call(
        load("destroy"),
        (
            keys.stream,
            keys.retry,
            keys.reclaim_lock,
            keys.dlq,
            keys.state,
            keys.cancelled,
            *keys.flow,
        ),
        (keys.group, silence, int(dead_letters)),
    )


# -- periodic jobs --------------------------------------------------------------


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


def cron_put(
    keys: StreamKeys, version: bytes, name: str, definition: bytes, raw: bytes, rule: str, *,
    declared: bool, paused: bool = False,
) -> Call:  # fmt: skip
    """Keep a schedule.

    Args:
        version: of the schedules, as they were read.
        raw: data of its jobs.
        declared: whether it is in the caller's code.
        paused: whether it begins paused.
    """
    args = (version, name, definition, raw, rule, int(declared), int(paused))
    return Call(load("cron_put"), (keys.cron,), args)


def cron_seen(keys: StreamKeys, names: Sequence[str]) -> Call:
    """Note that a worker is there that has these schedules in its code."""
    return Call(load("cron_seen"), (keys.cron,), tuple(names))


def cron_pause(keys: StreamKeys, name: str, *, pause: bool) -> Call:
    """Pause a schedule, or let it go on."""
    return Call(load("cron_pause"), (keys.cron,), (name, int(pause)))


def cron_delete(keys: StreamKeys, name: str, stale: int) -> Call:
    """Delete a schedule; ``stale``: ms after which a worker that has it counts as gone."""
    return Call(load("cron_delete"), (keys.cron,), (name, stale))


def cron_run(keys: StreamKeys, version: bytes, name: str, fields: Sequence[Arg]) -> Call:
    """Write a job of a schedule now; ``version``: of the schedules, as they were read."""
    return Call(load("cron_run"), (keys.stream, keys.cron), (version, name, *fields))


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
    holders = stream_keys(keys.stream).data_holders
    return Call(load("replay"), (keys.stream, holders), (keys.group, *ids))


def produce_within(stream: str, most: int, entries: Iterable[Sequence[Arg]]) -> Call:
    """Write entries while no more than ``most`` wait to be settled."""
    strings = [part for fields in entries for part in (len(fields), *fields)]
    return Call(load("produce_within"), (stream,), (most, *strings))


def within(call: Call, most: int) -> Call:
    """A call that writes to its first key, refused when ``most`` entries wait there."""
    return Call(in_front("full", call.script), call.keys, (*call.args, most))
