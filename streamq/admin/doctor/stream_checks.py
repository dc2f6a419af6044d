"""The streams and their groups: what grows, what nobody reads, what nobody can handle."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from functools import partial

from streamq.admin.dead_letters import DeadLetters
from streamq.admin.doctor.findings import Finding, Level
from streamq.admin.streams import GroupInfo, StreamInfo
from streamq.errors import ConfigError
from streamq.server import Server
from streamq.text import printable

MANY_PENDING = 10_000
"""Entries delivered and not settled that are too many for a group."""

MANY_DEAD = 10_000
"""Dead letters that are too many, however old they are."""

LONG_GONE = 3600.0
"""Seconds of silence after which a consumer does not come back."""

LONG_PAUSED = 3600.0
"""Seconds after which a pause has been forgotten, perhaps."""

RECENT = 24 * 3600.0
"""Seconds back in which dead letters count as new."""

LETTERS = 100
"""Dead letters of a group that are read, the newest."""

UNUSABLE = frozenset({"no handler", "invalid entry", "invalid arguments", "data gone"})
"""Reasons of dead letters that no other attempt can cure."""

NAMES = (
    "streams without a group", "groups that nobody reads", "paused groups", "pending jobs",
    "consumers",
    "dead letters", "jobs that nobody can handle",
)  # fmt: skip
"""What is looked at in each stream."""


async def check_stream(
    server: Server, stream: StreamInfo, idle_known: bool
) -> AsyncIterator[Finding]:
    """What there is to say about one stream; nothing if all is well.

    Args:
        idle_known: whether the server tells when it last heard of a worker that has no job.
    """
    if stream.length and not stream.groups:
        yield Finding(
            Level.WARNING, "streams without a group",
            f"{_jobs(stream.length)}, and no group reads it: it grows until the memory is full",
            "start a worker, or streamq group create; if it is not streamq's own, see to whoever "
            "writes it",
            stream.name,
        )  # fmt: skip
    for group, count in stream.orphaned_dead_letters.items():
        yield Finding(
            Level.NOTE, "dead letters", f"{_letters(count)} of a group that was deleted",
            f"streamq dlq list --group {group}, then dlq purge", stream.name, group,
        )  # fmt: skip
    for one in stream.groups:
        for finding in _check_group(stream, one, idle_known, time.time() + server.clock.ahead):
            yield finding
        if one.dead:
            async for finding in _dead(server, one):
                yield finding


def _check_group(
    stream: StreamInfo, group: GroupInfo, idle_known: bool, now: float
) -> Iterator[Finding]:
    about = partial(Finding, stream=group.stream, group=group.name)
    if not group.alive and group.name not in stream.abandoned:
        queued = "more jobs than can be counted" if group.queued is None else _jobs(group.queued)
        if group.queued != 0:
            yield about(
                Level.WARNING, "groups that nobody reads",
                f"{queued} queued and no worker: the stream keeps them all",
                "start a worker for the group; if it is not wanted any more, streamq group delete",
            )  # fmt: skip
        elif group.pending:
            yield about(
                Level.WARNING, "groups that nobody reads",
                f"{_jobs(group.pending)} begun or waiting for a retry, and no worker",
                "start a worker for the group; streamq pending shows the jobs",
            )  # fmt: skip
    since = group.state.paused_since
    if since is not None:
        seconds = max(now - since, 0.0)
        yield about(
            Level.WARNING if seconds >= LONG_PAUSED and group.queued != 0 else Level.NOTE,
            "paused groups", f"paused by hand since {_moment(since)}: nothing of it runs",
            f"streamq group resume {group.name}",
        )  # fmt: skip
    if group.pending >= MANY_PENDING:
        yield about(
            Level.WARNING, "pending jobs",
            f"{_jobs(group.pending)} delivered and not settled: {group.running:,} running, "
            f"{group.retrying:,} for a retry, {group.held:,} held, {group.stalled:,} stalled",
            "streamq pending shows which; fewer retries, a lower concurrency, or more workers",
        )  # fmt: skip
    silent = [one for one in group.consumers if not one.alive and one.idle >= LONG_GONE]
    gone = [one for one in silent if idle_known or one.pending]
    if gone:
        names = ", ".join(printable(one.name, 60) for one in gone[:3])
        held = sum(one.pending for one in gone)
        yield about(
            Level.WARNING, "consumers",
            f"{len(gone):,} gone for longer than an hour, with {_jobs(held)}: {names}",
            "a running worker takes their jobs over and removes them; without one, streamq "
            "pending release --consumer NAME",
        )  # fmt: skip


async def _dead(server: Server, group: GroupInfo) -> AsyncIterator[Finding]:
    about = partial(Finding, stream=group.stream, group=group.name)
    try:
        letters = DeadLetters(server, group.stream, group.name)
    except ConfigError:
        return  # another program's group, with a name that streamq does not use
    newest = [one async for one in letters.list(newest_first=True, limit=LETTERS)]
    since = time.time() + server.clock.ahead - RECENT
    new = [one for one in newest if one.dead_since >= since]
    some = f"{len(new):,}" + (" or more" if len(new) == LETTERS else "")
    look = (
        f"streamq dlq list --newest --group {group.name} shows why; then dlq redrive or dlq purge"
    )
    if new:
        why = ", ".join(
            f"{printable(reason or 'no reason given', 60)} ({count:,})"
            for reason, count in Counter(one.reason for one in new).most_common(3)
        )
        yield about(
            Level.WARNING, "dead letters",
            f"{_letters(group.dead)}, {some} of them new in the last day: {why}", look,
        )  # fmt: skip
    elif group.dead >= MANY_DEAD:
        yield about(
            Level.WARNING, "dead letters", f"{_letters(group.dead)}: they stay until purged", look
        )
    elif group.dead:
        yield about(
            Level.NOTE, "dead letters", f"{_letters(group.dead)}, none of the last day", look
        )
    unusable = [one for one in new if one.reason in UNUSABLE]
    if unusable:
        types = Counter((one.reason, one.type) for one in unusable)
        named = ", ".join(
            f"{reason} (type {printable(type, 60) or 'none'})"
            for (reason, type), _ in types.most_common(3)
        )
        yield about(
            Level.WARNING, "jobs that nobody can handle",
            f"{_jobs(len(unusable))} of the last day: {named}",
            "let handler and producer agree on types and data; for other types, a handler for "
            '"*". Then streamq dlq redrive',
        )  # fmt: skip


def _moment(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count:,} jobs"


def _letters(count: int) -> str:
    return "1 dead letter" if count == 1 else f"{count:,} dead letters"
