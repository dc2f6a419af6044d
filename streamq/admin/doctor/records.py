"""The records of jobs that have ended, and how much of the memory they take."""

from __future__ import annotations

from collections import Counter

from streamq.admin.doctor.asking import ask
from streamq.admin.doctor.findings import Finding, Level, Refused, not_checked
from streamq.admin.overview import scan_steps
from streamq.admin.reading import text
from streamq.errors import AuthenticationFailed
from streamq.server import Server
from streamq.server.version import ServerInfo
from streamq.text import printable, size
from streamq.wire.keys import record_of, stream_keys

NAME = "records"

SAMPLES = 20
"""Records whose size is asked for, for each group."""

GROUPS = 50
"""Groups whose records are measured: those that have the most."""

PART = 0.1
"""Part of the memory from which on records are too much."""

LEAST = 64 * 1024**2
"""Bytes below which they are never too much."""


async def check_records(server: Server, info: ServerInfo, stream: str | None) -> list[Finding]:
    """The groups whose records take much of the memory; looked for with ``SCAN``.

    Args:
        stream: only of this stream.
    """
    try:
        return await _check(server, info, stream)
    except Refused as refused:
        return [not_checked(NAME, str(refused))]
    except AuthenticationFailed:
        return [not_checked(NAME, "SCAN")]


async def _check(server: Server, info: ServerInfo, stream: str | None) -> list[Finding]:
    counts: Counter[tuple[str, str]] = Counter()
    prefix = None if stream is None else stream_keys(stream).prefix
    samples: dict[tuple[str, str], list[bytes]] = {}
    async for keys, _ in scan_steps(server, "MATCH", "*:group:*:job:*", "TYPE", "hash"):
        for key in keys:
            owner = record_of(text(key))
            if owner is not None and prefix in (None, owner[0]):
                counts[owner] += 1
                some = samples.setdefault(owner, [])
                if len(some) < SAMPLES:
                    some.append(key)
    limit = max((info.maxmemory or info.used_memory) * PART, LEAST)
    found = []
    for owner, count in counts.most_common(GROUPS):
        taken = count * await _size(server, samples[owner])
        if taken >= limit:
            found.append(_too_many(*owner, count, taken))
    return found or [Finding(Level.OK, NAME, f"{counts.total():,} records, little of the memory")]


def _too_many(prefix: str, group: str, count: int, taken: float) -> Finding:
    return Finding(
        Level.WARNING, NAME,
        f"{count:,} records of {printable(prefix, 100)} take about {size(taken)}",
        "keep them for a shorter time, Settings(result_ttl=60), or 0 for none; write large results "
        "elsewhere, and return where; of jobs that fail often, keep fewer attempts, "
        "Settings(history=5)",
        group=group,
    )  # fmt: skip


async def _size(server: Server, keys: list[bytes]) -> float:
    sizes = [await ask(server, "MEMORY", "USAGE", key, "SAMPLES", 0) for key in keys]
    known = [one for one in sizes if one is not None]
    return sum(known) / len(known) if known else 0.0
