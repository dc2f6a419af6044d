"""What is written and processed: how many jobs, how large, and for how long."""

from __future__ import annotations

import math

from streamq.errors import ConfigError, ServerRefused
from streamq.limits import KEEP_DATA, MAX_PAYLOAD
from streamq.server import ServerInfo
from streamq.worker import Settings

JOBS = 50_000
"""The most jobs of a backlog, unless more are asked for."""

MOST_BYTES = 1 << 30
"""The most bytes of a backlog's payloads; by default, a sixteenth of it."""

MIN_PAYLOAD = 16
"""Bytes of the smallest data: ``{"n":1,"pad":""}``."""

WRITE_FOR = 0.5
"""Seconds of writing after which a backlog is large enough, unless its size was asked for."""

DRAIN_FOR = 1.0
"""Seconds of processing after which enough was seen, unless the size was asked for."""

FULL = 0.9
"""The part of its memory limit to which a benchmark may fill a server."""

OVERHEAD = 500
"""Bytes that an entry and its status record take besides the payload; not exact."""

TYPE = "job"

DEFAULTS = Settings()


class Workload:
    """Backlogs of equal jobs.

    Args:
        jobs: the size of a backlog; by default, what can be written in half a second, up
            to :data:`JOBS`.
        payload: bytes of data in each job.
        concurrency: handlers at once.

    Attributes:
        jobs: the size of a backlog, or the most that it may be before the first is written.
        data: of each job.
        write_for: seconds after which a backlog is large enough.
        drain_for: seconds after which enough of it was processed.

    Raises:
        ConfigError: the numbers cannot be used.
    """

    def __init__(self, jobs: int | None, payload: int, concurrency: int) -> None:
        if not MIN_PAYLOAD <= payload <= MAX_PAYLOAD:
            raise ConfigError(f"payload={payload}: give {MIN_PAYLOAD} to {MAX_PAYLOAD:,} bytes")
        if jobs is not None and not 0 < jobs <= MOST_BYTES // payload:
            raise ConfigError(
                f"jobs={jobs}: give 1 to {MOST_BYTES // payload:,} of {payload:,} bytes, "
                "all of which are in the server at once"
            )
        self.jobs = min(JOBS, MOST_BYTES // 16 // payload) if jobs is None else jobs
        self.payload = payload
        self.concurrency = concurrency
        self.data = {"n": 1, "pad": "x" * (payload - MIN_PAYLOAD)}
        self.write_for, self.drain_for = (
            (WRITE_FOR, DRAIN_FOR) if jobs is None else (math.inf, math.inf)
        )

    def fix_size(self, jobs: int) -> None:
        """Have all further backlogs as large as this."""
        self.jobs, self.write_for = jobs, math.inf

    def check_memory(self, server: ServerInfo, where: str) -> None:
        """Refuse what could bring the server to its limit, where it would evict or refuse.

        Raises:
            ServerRefused: the server has too little memory left.
        """
        if not server.maxmemory:
            return
        each = self.payload + min(self.payload, KEEP_DATA) + OVERHEAD
        room = int(server.maxmemory * FULL) - server.used_memory
        if each * self.jobs > room:
            fitting = max(room // each, 0)
            advice = f"give {fitting:,} jobs or fewer" if fitting else "free some first"
            raise ServerRefused(
                f"the server at {where} has too little memory left for "
                f"{self.jobs:,} jobs of {self.payload:,} bytes: {server.used_memory:,} of its "
                f"maxmemory of {server.maxmemory:,} bytes are in use; {advice}"
            )
