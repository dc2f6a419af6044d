"""What to compare a worker with: a bare loop of the same commands and scripts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any

from streamq import lua
from streamq.bench.scratch import GROUP, Scratch
from streamq.bench.workload import DEFAULTS, Workload
from streamq.limits import KEEP_DATA
from streamq.lua import Arg
from streamq.server import Server

LOOPS = 2
"""Loops side by side: the server has work from one while the other prepares its own."""

BATCH = 500
"""Entries that a loop reads and settles at once."""


async def drain(
    server: Server, workload: Workload, scratch: Scratch, *, records: bool
) -> tuple[int, float]:
    """Drain a backlog with bare loops; return how many jobs, in how many seconds."""
    settled = 0
    begun = time.perf_counter()
    end = begun + workload.drain_for

    async def loop(consumer: str) -> None:
        nonlocal settled
        read = (
            "XREADGROUP", "GROUP", GROUP, consumer, "COUNT", BATCH,
            "STREAMS", scratch.name, ">",
        )  # fmt: skip
        async with server.borrowed() as link:
            while time.perf_counter() < end and (reply := await link.call(*read)):
                entries = reply[0][1]
                if await link.run(_settle(scratch, consumer, entries, records=records)):
                    raise scratch.changed()
                settled += len(entries)

    await _together(*(loop(f"loop-{number}") for number in range(LOOPS)))
    now = time.perf_counter()
    if settled != workload.jobs and now < end:
        raise scratch.changed()
    return settled, now - begun


def _settle(scratch: Scratch, consumer: str, entries: Sequence[Any], *, records: bool) -> lua.Call:
    """Settle entries as succeeded, at their first delivery."""
    pairs: list[Arg] = [part for raw_id, _ in entries for part in (raw_id.decode(), 1)]
    verdicts: list[Arg] = []
    keys: list[str] = []
    if records:
        now = int(time.time() * 1000)
        verdicts += ("S", len(entries), "succeeded", entries[0][1][1])
        for raw_id, (_, _, _, data) in entries:
            verdicts += (data if len(data) <= KEEP_DATA else b"", now, now)
            keys.append(scratch.keys.job_prefix + raw_id.decode())
    else:
        verdicts += ("s", len(entries))
    ttl = int(DEFAULTS.result_ttl * 1000)
    return lua.settle(scratch.keys, consumer, ttl, len(entries), keys, pairs, verdicts)


async def _together(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run all at once; if one fails, the others are cancelled."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
