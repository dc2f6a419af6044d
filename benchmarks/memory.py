"""Bytes in the server for each job of 100 bytes of data, and of the worker at its peak.

`queued` is the growth of the server's `used_memory` from one job to N more, divided by N: what
exists once (scripts, groups, empty structures) does not count. `left` is the same once they
have all been processed, with the settings of the system's own choice: what it keeps of
finished jobs, and for how long, its adapter says.
"""

import sys
from collections.abc import Iterator, Sequence

from harness import systems
from harness.measure import Measurement
from harness.session import Session, parser, run
from harness.systems import Description, System

METRICS = {
    "queued": "memory of the server for each job that waits",
    "left": "memory of the server for each job that has been processed",
    "worker": "resident memory of the worker process at its peak",
}

ALL = "bare,streamq,streamq-ttl0,bullmq,dramatiq,taskiq,docket,saq,arq,streaq,celery,rq"
JOBS = 5_000


def measure(session: Session, system: System, description: Description) -> Iterator[Measurement]:
    jobs = session.jobs(JOBS)
    with session.server() as server:
        systems.enqueue(system, server, 1)
        memory = server.used_memory()
        systems.enqueue(system, server, jobs)
        queued = (server.used_memory() - memory) / jobs
        yield Measurement(system.name, "queued", queued, "bytes", jobs)
    with session.server() as server:
        systems.enqueue(system, server, 1)
        with systems.worker(system, server, 1) as worker:
            worker.wait_until_drained(description.remaining)
        memory = server.used_memory()
        systems.enqueue(system, server, jobs)
        with systems.worker(system, server, jobs) as worker:
            processed = worker.wait_until_drained(description.remaining)
        left = max(0.0, (server.used_memory() - memory) / jobs)
        yield Measurement(system.name, "left", left, "bytes", jobs)
        yield Measurement(system.name, "worker", processed.peak_rss / 2**20, "MiB", jobs)


def main(words: Sequence[str] | None = None) -> int:
    arguments = parser(
        "Bytes in the server for each queued and each finished job, and the worker's memory.",
        "python benchmarks/memory.py --systems streamq,bullmq --jobs 20000 --json memory.json",
        systems=ALL,
        rounds=2,
    ).parse_args(words)
    return run(arguments, "memory", METRICS, measure, seconds=8)


if __name__ == "__main__":
    sys.exit(main())
