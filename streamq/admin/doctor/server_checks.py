"""The server itself: version, memory, disk, replicas, clocks, and what holds it up."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from streamq.admin.doctor.asking import ask, section, setting
from streamq.admin.doctor.findings import Finding, Level, Refused, not_checked
from streamq.admin.reading import text
from streamq.server import Server
from streamq.server.version import ServerInfo
from streamq.text import printable, size

FULL, NEARLY_FULL = 0.9, 0.75
"""Parts of the memory from which on it is a problem, and a warning."""

SKEW = 2.0
"""Seconds by which two clocks may differ."""

LAG = 10
"""Seconds since a replica was last heard of."""

SLOW = 0.1
"""Seconds that no command should take: meanwhile, the server does nothing else."""

SLOW_ROWS = 128
"""Rows of the slow log that are looked at."""

RECENT = 24 * 3600
"""Seconds back that the slow log is looked at."""

KEEP = "CONFIG SET appendonly yes, and the same in its configuration file (CONFIG REWRITE)"

Check = Callable[[Server, ServerInfo], Coroutine[Any, Any, Finding]]


async def check_server(server: Server, info: ServerInfo) -> list[Finding]:
    """One finding for each check of the server itself; on a Cluster, for each node with trouble."""
    parts = await server.parts()
    if len(parts) == 1:
        return await _check(parts[0], info)
    nodes = [(part.where, await _check(part, await part.info_now())) for part in parts]
    findings = []
    for same in zip(*(found for _, found in nodes), strict=True):
        said = Counter((one.level, one.found, one.advice) for one in same)
        for (where, _), one in zip(nodes, same, strict=True):
            if len(said) == 1:  # all say the same
                findings.append(replace(one, found=f"{one.found}, on {len(nodes)} nodes"))
                break
            if one.level is not Level.OK:
                findings.append(replace(one, found=f"{where}: {one.found}"))
        else:
            if all(one.level is Level.OK for one in same):
                findings.append(replace(same[0], found=f"nothing found on {len(nodes)} nodes"))
    return findings


async def _check(server: Server, info: ServerInfo) -> list[Finding]:
    findings = []
    for name, check in CHECKS.items():
        try:
            findings.append(await check(server, info))
        except Refused as refused:
            findings.append(not_checked(name, str(refused)))
    return findings


def tells_of_idle_workers(info: ServerInfo) -> bool:
    """Whether it knows when it last heard of a worker that has no job."""
    return info.name != "redis" or not info.version.startswith(("7.0.", "7.1."))


async def _version(server: Server, info: ServerInfo) -> Finding:
    shown = f"{info.name.capitalize()} {printable(info.version, 40)}"
    if not tells_of_idle_workers(info):
        return Finding(
            Level.NOTE, "version", f"{shown}: a worker that has had no job for a while looks gone",
            "upgrade to Redis 7.2 or newer, or to Valkey",
        )  # fmt: skip
    return Finding(Level.OK, "version", shown)


async def _eviction(server: Server, info: ServerInfo) -> Finding:
    policy = info.maxmemory_policy
    if not policy:
        raise Refused("INFO memory")
    if policy != "noeviction":
        return Finding(
            Level.PROBLEM, "eviction",
            f"maxmemory-policy is {printable(policy, 40)}: the server may evict queued jobs when "
            "memory is short",
            "CONFIG SET maxmemory-policy noeviction, and the same in its configuration file; keep "
            "a cache on another server",
        )  # fmt: skip
    return Finding(Level.OK, "eviction", "maxmemory-policy is noeviction")


async def _memory(server: Server, info: ServerInfo) -> Finding:
    fields = await section(server, "memory")
    limit = info.maxmemory or int(fields.get("total_system_memory", 0))
    used = size(info.used_memory)
    if not limit:
        return Finding(Level.OK, "memory", f"{used} used")
    part = info.used_memory / limit
    of = "its maxmemory" if info.maxmemory else "the machine's memory"
    found = f"{used} used, {part:.0%} of {of} ({size(limit)})"
    if part < NEARLY_FULL:
        return Finding(Level.OK, "memory", found)
    then = "jobs cannot be written" if info.maxmemory else "the system may kill the server"
    return Finding(
        Level.PROBLEM if part >= FULL else Level.WARNING, "memory",
        f"{found}; when it is full, {then}",
        "streamq info shows what fills the streams; let producers wait (max_backlog), keep large "
        "data outside (offload), shorten result_ttl and retain, or give the server more memory",
    )  # fmt: skip


async def _persistence(server: Server, info: ServerInfo) -> Finding:
    fields = await section(server, "persistence")
    failing = [
        name
        for name in ("rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status")
        if fields.get(name, "ok") != "ok"
    ]
    if failing:
        return Finding(
            Level.PROBLEM, "persistence",
            f"the server could not write to its disk ({', '.join(failing)})",
            "look into its log; make room on the disk, or see to its permissions",
        )  # fmt: skip
    if fields.get("aof_enabled") == "1":
        policy = await setting(server, "appendfsync")
        if policy == "no":
            return Finding(
                Level.WARNING, "persistence",
                "appendfsync is no: a power cut may cost half a minute of jobs",
                "CONFIG SET appendfsync everysec, and the same in its configuration file",
            )  # fmt: skip
        return Finding(Level.OK, "persistence", f"append-only file, appendfsync {policy}")
    if not await setting(server, "save"):
        return Finding(
            Level.PROBLEM, "persistence",
            "nothing is kept on disk: when the server restarts, every job is lost", KEEP,
        )  # fmt: skip
    return Finding(
        Level.WARNING, "persistence",
        "snapshots only: when the server crashes, all that was written since the last one is lost",
        KEEP,
    )  # fmt: skip


async def _replication(server: Server, info: ServerInfo) -> Finding:
    fields = await section(server, "replication")
    name = "replication"
    if fields.get("role") == "slave":
        return Finding(
            Level.PROBLEM, name, "this is a replica: jobs cannot be written or settled here",
            "give streamq the address of the primary",
        )  # fmt: skip
    rows = [_row(fields[f"slave{n}"]) for n in range(100) if f"slave{n}" in fields]
    if not rows:
        return Finding(Level.OK, name, "no replicas")
    behind = [
        printable(f"{row.get('ip')}:{row.get('port')}", 100)
        for row in rows
        if row.get("state") != "online" or int(row.get("lag", 0)) > LAG
    ]
    if behind:
        return Finding(
            Level.WARNING, name,
            f"replicas that do not keep up: {', '.join(behind[:3])}; if one takes over, jobs are "
            "lost or run again",
            "look into their logs, and at the network between them and the primary",
        )  # fmt: skip
    count = f"{len(rows)} {'replica keeps' if len(rows) == 1 else 'replicas keep'} up"
    try:
        await ask(server, "WAIT", 0, 1)
    except Refused:
        return Finding(
            Level.WARNING, name,
            f"{count}, but this user may not run WAIT: App(replicas=…) is refused",
            "add +wait to the user's ACL if you use App(replicas=…)",
        )  # fmt: skip
    if await setting(server, "min-replicas-to-write") == "0":
        return Finding(
            Level.NOTE, name,
            f"{count}; the primary takes jobs also when none does, and a failover then loses them",
            "App(replicas=1) waits for a replica; min-replicas-to-write 1 lets the primary refuse",
        )  # fmt: skip
    return Finding(Level.OK, name, count)


def _row(text: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in text.split(",") if "=" in part)


async def _clock(server: Server, info: ServerInfo) -> Finding:
    before = time.time()
    seconds, micros = await ask(server, "TIME")
    after = time.time()
    # The server's time is of some moment in between; only what is beyond both is skew.
    there = int(seconds) + int(micros) / 1e6
    ahead = there - before if there < before else max(there - after, 0)
    if abs(ahead) < SKEW:
        return Finding(Level.OK, "clock", f"differs by less than {SKEW:g} s from this machine's")
    return Finding(
        Level.WARNING, "clock",
        f"the server's clock is {abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'} this "
        "machine's: ages and times that you read are off by that",
        "let NTP set the clocks of both machines",
    )  # fmt: skip


async def _slow(server: Server, info: ServerInfo) -> Finding:
    rows = await ask(server, "SLOWLOG", "GET", SLOW_ROWS)
    since = int((await ask(server, "TIME"))[0]) - RECENT
    slow: Counter[str] = Counter()
    longest = 0.0
    for row in rows:
        _, at, micros, command = row[:4]
        if at >= since and micros >= SLOW * 1e6 and command:
            slow[printable(text(command[0]).upper(), 40)] += 1
            longest = max(longest, micros / 1e6)
    if not slow:
        return Finding(Level.OK, "slow commands", f"none of {SLOW:g} s or more in its slow log")
    named = ", ".join(f"{command} ({count:,})" for command, count in slow.most_common(3))
    return Finding(
        Level.WARNING, "slow commands",
        f"in the last day, commands held the server up for up to {longest:.2g} s: {named}",
        "SLOWLOG GET shows them whole. EVALSHA and FCALL: smaller jobs (offload), smaller batches; "
        "others: the program that sends them, or a server of its own for it",
    )  # fmt: skip


CHECKS: dict[str, Check] = {
    "version": _version,
    "eviction": _eviction,
    "memory": _memory,
    "persistence": _persistence,
    "replication": _replication,
    "clock": _clock,
    "slow commands": _slow,
}
