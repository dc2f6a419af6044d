"""What was measured, and what it says about the limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from streamq.server import ServerInfo

BUSY = 0.75
"""The part of the time from which on a server or a client is busy enough to be the limit."""

CLOSE = 0.9
"""The part of the bare loop's rate from which on a worker is as good as that."""

HERE = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""Hosts that are this machine."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds within which half, and 99 of 100, were done."""

    p50: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Self:
        """Those of a sample, by the nearest rank."""
        ordered = sorted(seconds)
        p50, p99 = (ordered[math.ceil(part * len(ordered)) - 1] * 1000 for part in (0.5, 0.99))
        return cls(p50, p99)


@dataclass(frozen=True, slots=True)
class Drained:
    """How a backlog was processed, or as much of it as there was time for.

    Attributes:
        jobs_per_second: from the first job to the last settled one.
        server_busy: part of that time for which the server's main thread worked, for
            whomever; ``None`` where the server does not tell.
        client_busy: the same of this process.
    """

    jobs_per_second: float
    server_busy: float | None
    client_busy: float


@dataclass(frozen=True, slots=True)
class Processed:
    """One backlog processed by a worker, and the same by nothing but commands.

    Attributes:
        worker: a worker with an async handler that does nothing.
        bare: a bare loop of the same commands and scripts, to compare it with.
    """

    worker: Drained
    bare: Drained

    @property
    def ratio(self) -> float:
        """How much of the bare loop's rate the worker reaches; it can be more than 1."""
        return self.worker.jobs_per_second / self.bare.jobs_per_second


@dataclass(frozen=True, slots=True)
class BenchReport:
    """What a server and one worker process do, and which of the two is the limit.

    Attributes:
        where: the server's address, without user name and password.
        embedded: whether it is streamq's own.
        jobs: the size of a backlog.
        payload: bytes of data in each job.
        concurrency: handlers at once.
        round_trip: of a ``PING``.
        produce_one: jobs per second, each awaited before the next.
        produce_many: jobs per second, written in bulk.
        plain: processing without status records.
        recorded: processing with status records, as by default.
        latency: from just before ``produce`` to the handler's first line, on an idle worker.
    """

    where: str
    embedded: bool
    server: ServerInfo
    jobs: int
    payload: int
    concurrency: int
    round_trip: Percentiles
    produce_one: float
    produce_many: float
    plain: Processed
    recorded: Processed
    latency: Percentiles

    @property
    def limit(self) -> Literal["server", "client", "neither"]:
        """What keeps one worker process from doing more."""
        worker = self.recorded.worker
        if worker.server_busy is None:
            return "server" if self.recorded.ratio >= CLOSE else "client"
        if max(worker.server_busy, worker.client_busy) < BUSY:
            return "neither"
        return "server" if worker.server_busy >= worker.client_busy else "client"

    @property
    def server_limit(self) -> float | None:
        """Jobs per second, with status records, at which the server's main thread would be
        full, however many workers there are; ``None`` where the server does not tell."""
        worker = self.recorded.worker
        return worker.jobs_per_second / worker.server_busy if worker.server_busy else None

    @property
    def verdict(self) -> str:
        """What the limit is, in a sentence."""
        worker = self.recorded.worker
        done = f"one worker process did {worker.jobs_per_second:,.0f} jobs/s with status records"
        if worker.server_busy is None:
            return (
                f"The limit is the {self.limit}: {done}, {self.recorded.ratio:.0%} of what a bare "
                "loop of the same commands did; how busy the server was, it does not tell."
            )
        server, client = f"{worker.server_busy:.0%}", f"{worker.client_busy:.0%}"
        more = f"more worker processes can do up to about {self.server_limit or 0:,.0f}."
        match self.limit:
            case "server":
                return (
                    f"The limit is the server: {done}, which kept its main thread busy for "
                    f"{server} of the time; {more}"
                )
            case "client":
                return (
                    f"The limit is the client: {done} and was busy for {client} of the time, "
                    f"the server for {server}; {more}"
                )
            case "neither" if self._is_here:
                return (
                    f"The limit is neither the server, busy for {server} of the time, nor the "
                    f"client, busy for {client}, but other programs on this machine; measure "
                    f"again. Now {done}; {more}"
                )
            case "neither":
                return (
                    f"The limit is neither the server, busy for {server} of the time, nor the "
                    f"client, busy for {client}, but the way between them, where a round trip "
                    f"takes {self.round_trip.p50:.2g} ms, or other programs on their machines: "
                    f"{done}; {more}"
                )

    @property
    def _is_here(self) -> bool:
        """Whether the server is on this machine: at a socket's path, or at the loopback."""
        return self.where.startswith("/") or self.where.rpartition(":")[0] in HERE

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "server": {
                "where": self.where,
                "embedded": self.embedded,
                "name": self.server.name,
                "version": self.server.version,
            },
            "jobs": self.jobs,
            "payload": self.payload,
            "concurrency": self.concurrency,
            "round_trip_ms": asdict(self.round_trip),
            "produce": {"one": self.produce_one, "many": self.produce_many},
            "process": {
                name: {**asdict(processed), "ratio": processed.ratio}
                for name, processed in (("plain", self.plain), ("recorded", self.recorded))
            },
            "latency_ms": asdict(self.latency),
            "limit": self.limit,
            "server_limit": self.server_limit,
            "verdict": self.verdict,
        }
