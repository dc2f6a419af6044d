"""The time from just before a job is enqueued to the first line of its handler.

One idle worker; jobs arrive one by one at a steady rate that every system keeps up with, whether
or not the one before has been handled, so that a slow answer cannot hide later ones. Each job
carries the time of its enqueuing on the machine's monotonic clock.
"""

import sys
import time
from collections.abc import Iterator

from harness import systems
from harness.measure import Measurement, percentile
from harness.session import Session, parser, run
from harness.systems import Description, System

METRICS = {
    "p50": "half of the jobs started within",
    "p99": "99 of 100 jobs started within",
}

ALL = "bare,streamq,bullmq,dramatiq,taskiq,docket,saq,arq,streaq,celery,rq"
JOBS = 1_000
INTERVAL = 0.01  # seconds
WARM_UP_JOBS = 50
SETTLING_DOWN = 0.5  # seconds between a worker's first job and the measured ones


def measure(session: Session, system: System, description: Description) -> Iterator[Measurement]:
    jobs = session.jobs(JOBS)
    with session.server() as server:
        # A job that waits for the worker tells when it is there; some more warm it up.
        systems.enqueue(system, server, 1)
        with systems.worker(system, server, 1 + WARM_UP_JOBS + jobs, latency=True) as worker:
            worker.wait_until_started()
            time.sleep(SETTLING_DOWN)
            limit = 10 * (WARM_UP_JOBS + jobs) * INTERVAL
            systems.drip(system, server, WARM_UP_JOBS + jobs, limit, INTERVAL, first=1)
            latencies = worker.wait_until_drained(description.remaining).latencies
    measured = [1000 * seconds for seconds in latencies[1 + WARM_UP_JOBS :]]
    for metric, percent in (("p50", 50), ("p99", 99)):
        yield Measurement(system.name, metric, percentile(measured, percent), "ms", jobs)


def main() -> int:
    arguments = parser(
        "Milliseconds from enqueuing a job to the start of its handler, on an idle system.",
        "python benchmarks/latency.py --systems bare,streamq,saq --svg latency.svg",
        systems=ALL,
        rounds=5,
    ).parse_args()
    return run(arguments, "latency", METRICS, measure)


if __name__ == "__main__":
    sys.exit(main())
