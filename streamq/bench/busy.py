"""Who is busy while a backlog is drained: the server, this process, or neither."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Mapping

from streamq.bench.report import Drained
from streamq.server import Server
from streamq.server.info import parse_info


async def observed(server: Server, draining: Awaitable[tuple[int, float]]) -> Drained:
    """Watch a backlog being drained.

    Args:
        draining: returns how many jobs, in how many seconds.
    """
    server_before, client_before = await _server_cpu(server), time.process_time()
    jobs, seconds = await draining
    client, server_after = time.process_time() - client_before, await _server_cpu(server)
    busy = (
        None
        if server_before is None or server_after is None
        else min((server_after - server_before) / seconds, 1.0)
    )
    return Drained(jobs / seconds, busy, min(client / seconds, 1.0))


async def _server_cpu(server: Server) -> float | None:
    """Seconds that the server's main thread has worked, or all of its threads; on a Cluster, for
    all nodes: a stream keeps one of them busy."""
    parts = await server.parts()
    seconds = [_cpu(parse_info(await part.call("INFO", "cpu"))) for part in parts]
    return None if None in seconds else sum(filter(None, seconds))


def _cpu(fields: Mapping[str, str]) -> float | None:
    for suffix in ("_main_thread", ""):
        user, system = (fields.get(f"used_cpu_{kind}{suffix}") for kind in ("user", "sys"))
        if user is not None and system is not None:
            return float(user) + float(system)
    return None
