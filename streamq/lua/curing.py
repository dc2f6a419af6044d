"""What an operator changes by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from streamq.lua.loader import Arg, Call, load
from streamq.wire.keys import GroupKeys, StreamKeys, data_keys, stream_keys


def retry_now(keys: GroupKeys, stalled_after: int, ids: Sequence[str]) -> Call:
    """Let pending entries be retried now; ``stalled_after`` is in ms."""
    return Call(load("retry_now"), (keys.stream, keys.retry), (keys.group, stalled_after, *ids))


def to_dead_letters(keys: GroupKeys, error: str, history_ttl: int, ids: Sequence[str]) -> Call:
    """Make pending entries dead letters by hand.

    Args:
        history_ttl: how long the history of their attempts is kept, ms.
    """
    return Call(
        load("to_dead_letters"),
        (
            keys.stream,
            keys.retry,
            keys.dlq,
            *data_keys(keys.stream),
            *keys.flow,
            *map(keys.job, ids),
        ),
        (keys.group, error, history_ttl, *ids),
    )


def cancel(keys: GroupKeys, stalled_after: int, record_ttl: int, ids: Sequence[str]) -> Call:
    """Cancel jobs in one group; both times are in ms."""
    return Call(
        load("cancel"),
        (
            keys.stream,
            keys.retry,
            keys.cancelled,
            *keys.flow,
            *data_keys(keys.stream),
            keys.dlq,
            *map(keys.job, ids),
        ),
        (keys.group, stalled_after, record_ttl, *ids),
    )


def redrive(keys: GroupKeys, ids: Sequence[str]) -> Call:
    """Send dead letters back to their stream."""
    return Call(load("redrive"), (keys.stream, keys.dlq), (keys.group, *ids))


def replay(keys: GroupKeys, ids: Sequence[str]) -> Call:
    """Give entries that a group has settled to it once more."""
    holders = stream_keys(keys.stream).data_holders
    return Call(load("replay"), (keys.stream, holders), (keys.group, *ids))


def purge(dlq: str, ids: Sequence[str]) -> Call:
    """Delete dead letters."""
    return Call(load("purge"), (dlq,), tuple(ids))


def purge_offloaded(keys: GroupKeys, ids: Sequence[str], refs: Sequence[str]) -> Call:
    """Delete dead letters, some of which have their data outside the stream.

    Args:
        refs: for each where its data is, or ``""``.
    """
    return Call(load("purge"), (keys.dlq, *data_keys(keys.stream)), (*ids, *refs))


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


def prune(stream: str, start: str, count: int) -> Call:
    """Delete what every remaining group has settled, a chunk at a call."""
    return Call(load("prune"), (stream, *data_keys(stream)), (start, count))


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


def set_state(keys: GroupKeys, fields: Mapping[str, str]) -> Call:
    """Set what an operator says of a group; see the script for the values."""
    flat = [part for pair in fields.items() for part in pair]
    return Call(load("set_state"), (keys.stream, keys.state), (keys.group, *flat))


def configure(keys: StreamKeys, changes: Mapping[str, int | None]) -> Call:
    """Set what all workers of a stream agree on; ``None`` takes a setting away."""
    pairs = [
        part for name, value in changes.items() for part in (name, "" if value is None else value)
    ]
    return Call(load("configure"), (keys.stream, keys.settings), pairs)


def unschedule(keys: StreamKeys, name: str, key: str | None) -> Call:
    """Take a scheduled job back, and forget its idempotency key."""
    unique = () if key is None else (keys.unique(key),)
    return Call(load("unschedule"), (keys.scheduled, keys.scheduled_jobs, *unique), (name,))


def reschedule(keys: StreamKeys, name: str, when: tuple[str, int], key: str | None) -> Call:
    """Give a scheduled job another time; ``when`` as for :func:`schedule`."""
    unique = () if key is None else (keys.unique(key),)
    return Call(load("reschedule"), (keys.scheduled, *unique), (name, *when))


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


def cron_pause(keys: StreamKeys, name: str, *, pause: bool) -> Call:
    """Pause a schedule, or let it go on."""
    return Call(load("cron_pause"), (keys.cron,), (name, int(pause)))


def cron_delete(keys: StreamKeys, name: str, stale: int) -> Call:
    """Delete a schedule; ``stale``: ms after which a worker that has it counts as gone."""
    return Call(load("cron_delete"), (keys.cron,), (name, stale))


def cron_run(keys: StreamKeys, version: bytes, name: str, fields: Sequence[Arg]) -> Call:
    """Write a job of a schedule now; ``version``: of the schedules, as they were read."""
    return Call(load("cron_run"), (keys.stream, keys.cron), (version, name, *fields))
