"""How a worker works."""

from __future__ import annotations

from dataclasses import dataclass

from streamq.errors import ConfigError
from streamq.limits import (
    CONCURRENCY,
    GRACE,
    HISTORY,
    LEASE,
    MAX_HISTORY,
    MIN_LEASE,
    PREFETCH,
    RESULT_TTL,
)
from streamq.server.group import check_start


@dataclass(frozen=True, slots=True)
class Settings:
    """How a worker works.

    Attributes:
        concurrency: how many handlers run at once, for each group on each stream; a group
            may have its own number, and streams with weights share it.
        prefetch: how many entries may be in flight beside those that run. In a group that has
            a handler without retries, none of them waits for a handler. Batches that wait may
            have as many again, or one full batch for each handler.
        lease: seconds without a heartbeat after which an entry counts as stalled.
        result_ttl: seconds for which the record of a finished job is kept; 0 leaves none.
        history: how many attempts of a job that failed its record remembers, the first one and
            the last ones; 0 for none.
        grace: seconds that running handlers have when the worker stops.
        start: where a new group starts: ``0``, ``$``, an entry ID, or a time as 2026-11-01T00:00Z.
        processes: how many CPU-bound handlers run at once; ``None`` for one a core.

    Raises:
        ConfigError: a setting cannot work as given.
    """

    concurrency: int = CONCURRENCY
    prefetch: int = PREFETCH
    lease: float = LEASE
    result_ttl: float = RESULT_TTL
    history: int = HISTORY
    grace: float = GRACE
    start: str = "0"
    processes: int | None = None

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise ConfigError(f"concurrency={self.concurrency}: give one or more")
        if self.prefetch < 0:
            raise ConfigError(f"prefetch={self.prefetch}: give zero or more")
        if not MIN_LEASE <= self.lease < float("inf"):
            raise ConfigError(f"lease={self.lease:g}: give seconds, {MIN_LEASE:g} or more")
        if not 0 <= self.result_ttl < float("inf"):
            raise ConfigError(f"result_ttl={self.result_ttl:g}: give seconds, zero or more")
        if not 0 <= self.history <= MAX_HISTORY:
            raise ConfigError(f"history={self.history}: give 0 to {MAX_HISTORY:,} attempts")
        if not 0 <= self.grace < float("inf"):
            raise ConfigError(f"grace={self.grace:g}: give seconds, zero or more")
        if self.processes is not None and self.processes < 1:
            raise ConfigError(f"processes={self.processes}: give one or more")
        check_start(self.start)
