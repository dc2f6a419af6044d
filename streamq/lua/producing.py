"""What writes jobs: now, later, once, as far as there is room."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from streamq.lua.loader import Arg, Call, in_front, load, with_data
from streamq.wire.keys import StreamKeys, data_keys


def produce(stream: str, fields: Sequence[Arg]) -> Call:
    """Write an entry, where its data is kept outside the stream: see :func:`keep_data`."""
    return Call(load("produce"), (stream,), tuple(fields))


def produce_once(keys: StreamKeys, key: str, key_ttl: int, fields: Sequence[Arg]) -> Call:
    """Write an entry unless its idempotency key is known; ``key_ttl`` is in ms."""
    return Call(
        load("produce_once"),
        (keys.stream, keys.unique(key), keys.scheduled),
        (key_ttl, *fields),
    )


def produce_unique(
    keys: StreamKeys, name: str, when: tuple[str, int], key: str, key_ttl: int, memory: int,
    until: str, on_conflict: str, fields: Sequence[Arg],
) -> Call:  # fmt: skip
    """Write a job, now or later, under an idempotency key with rules of its own.

    Args:
        name: the call's own, which a schedule has that it makes.
        when: ``("now", 0)``, or as for :func:`schedule`.
        key_ttl: how long ``key`` is remembered from the job's time on, ms.
        memory: for how long a repeated call finds what the first one has made, ms.
        until: ``time`` or ``settled``.
        on_conflict: ``keep``, ``replace`` or ``error``.
    """
    of_data = data_keys(keys.stream) if on_conflict == "replace" else ()
    return Call(
        load("produce_unique"),
        (
            keys.stream, keys.scheduled, keys.scheduled_jobs, keys.unique(key),
            keys.schedule_id(name), *of_data,
        ),
        (name, *when, key_ttl, memory, until, on_conflict, key, *fields),
    )  # fmt: skip


def schedule(
    keys: StreamKeys, name: str, when: tuple[str, int], key: str | None, key_ttl: int,
    fields: Sequence[Arg],
) -> Call:  # fmt: skip
    """Keep a job until its time comes.

    Args:
        when: ``("in", ms)`` or ``("at", Unix time in ms)``.
        key: an idempotency key.
        key_ttl: how long ``key`` is remembered after the due time, ms.
    """
    unique = () if key is None else (keys.unique(key),)
    return Call(
        load("schedule"),
        (keys.scheduled, keys.scheduled_jobs, keys.schedule_id(name), *unique),
        (*when, name, key_ttl, key or "", *fields),
    )


def keep_data(call: Call, key: str, data: bytes) -> Call:
    """Keep data under a key, and run a script that writes its entry: both or neither."""
    return Call(with_data(call.script), (*call.keys, key), (*call.args, data))


def let_go(keys: StreamKeys, refs: Sequence[str]) -> Call:
    """Take note that entries or dead letters are gone whose data is outside the stream."""
    return Call(load("let_go"), data_keys(keys.stream), tuple(refs))


def produce_within(stream: str, most: int, entries: Iterable[Sequence[Arg]]) -> Call:
    """Write entries while no more than ``most`` wait to be settled."""
    strings = [part for fields in entries for part in (len(fields), *fields)]
    return Call(load("produce_within"), (stream,), (most, *strings))


def within(call: Call, most: int) -> Call:
    """A call that writes to its first key, refused when ``most`` entries wait there."""
    return Call(in_front("full", call.script), call.keys, (*call.args, most))
