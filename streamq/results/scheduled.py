"""A job for later is known by the name of its schedule, until it has become an entry."""

from __future__ import annotations

import asyncio
import re
from contextlib import AbstractAsyncContextManager, nullcontext

from streamq.errors import ConfigError, StreamqError
from streamq.retry import Backoff
from streamq.server import Server
from streamq.server.packing import pack
from streamq.text import printable
from streamq.wire.entry import check_id
from streamq.wire.keys import stream_keys

NAME = re.compile(r"s-[0-9A-Za-z_-]{1,128}")

BACKOFF = Backoff(base=0.05, factor=2, cap=1.0)
"""Between two looks at a job that is due and that no worker has written yet."""

LONGEST = 3600.0
"""Seconds for which one look at a job that is not due is enough."""


def is_scheduled(job_id: str) -> bool:
    """Whether it is the name of a schedule, and not an entry ID.

    Raises:
        ConfigError: it is neither.
    """
    if NAME.fullmatch(job_id):
        return True
    if not job_id[:1].isdigit():
        raise ConfigError(
            f"{printable(job_id, 60)!r} is not a job ID: IDs look like 1716998413541-0, and "
            "those of jobs for later like s-5f0e9a3c41d7b268"
        )
    check_id(job_id)
    return False


async def entry_of(
    server: Server, stream: str, name: str, few: AbstractAsyncContextManager[object] | None = None
) -> str | None:
    """Wait until a scheduled job is written, and return the ID of its entry.

    Args:
        few: entered for each look, to keep their number at once small.

    Returns:
        ``None`` when there is no schedule of that name, and no note of what became of it: it
        was cancelled, or was written more than an hour ago.
    """
    late = 0
    while True:
        async with few or nullcontext():
            entry, wait = await look_up(server, stream, name)
        if entry is not None or wait is None:
            return entry
        if wait <= 0:
            late += 1
            wait = BACKOFF.delay(late)
        await asyncio.sleep(min(wait, LONGEST))


async def look_up(server: Server, stream: str, name: str) -> tuple[str | None, float | None]:
    """The entry that a scheduled job has become, if it has; else the seconds until it is due.

    Both are ``None`` where there is no trace of it.
    """
    keys = stream_keys(stream)
    commands = [
        pack(("TIME",)), pack(("ZSCORE", keys.scheduled, name)),
        pack(("GET", keys.schedule_id(name))),
    ]  # fmt: skip
    async with server.borrowed() as link:
        replies = await link.exchange(b"".join(commands), len(commands))
    for reply in replies:
        if isinstance(reply, StreamqError):
            raise reply
    clock, due, entry = replies
    if entry is not None:
        return str(entry, "ascii"), None
    now = int(clock[0]) + int(clock[1]) / 1e6
    return None, None if due is None else float(due) / 1000 - now
