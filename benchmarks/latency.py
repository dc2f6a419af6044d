"""The time from just before a job is enqueued to the first line of its handler.

A system and the bare loop stand side by side: one server, an idle worker and a producer of each.
The producers take turns, 25 jobs one, 25 jobs the other, so that whatever the machine does
meanwhile it does to both. Jobs come one by one at a steady rate, whether or not the one before has
been handled, so that a slow answer cannot hide later ones; a system that cannot keep up with the
rate shows it in seconds, and needs a longer `--interval`. Each carries the time of its enqueuing on
the machine's monotonic clock.

`bare` is XADD from one connection of raw asyncio and hiredis to an XREADGROUP that blocks on
another one, with the job's JSON decoded and the entry settled by a fenced script after the handler.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

from harness import systems
from harness.measure import Measurement, percentile
from harness.server import BenchmarkError
from harness.session import Measured, Session, parser, run
from harness.systems import SYSTEMS, Description, System

METRICS = {
    "p50": "half of the jobs started within",
    "p99": "99 of 100 jobs started within",
    "p50 to bare": "p50 as a multiple of the bare loop's beside it",
    "p99 to bare": "p99 as a multiple of the bare loop's beside it",
}

ALL = "streamq"
PEERS = "streamq,bullmq,dramatiq,taskiq,docket,saq,arq,streaq,celery,rq"

JOBS = 1_000
INTERVAL_MS = 5.0
TURN = 25  # jobs
WARM_UP_JOBS = 4 * TURN
SETTLING_DOWN = 0.5  # seconds between a worker's first job and the measured ones

# A read ahead would only be one more thing to do before the handler.
BARE = replace(SYSTEMS["bare"], options={"ahead": "0"})


def measure(
    session: Session, system: System, description: Description, interval: float
) -> Iterator[Measurement]:
    if system.adapter == BARE.adapter:
        raise BenchmarkError("the bare loop stands beside every system already")
    jobs = session.jobs(JOBS)
    pair = [(BARE, systems.describe(BARE)), (system, description)]
    found: list[list[float]] = []
    with session.server() as server, ExitStack() as stack:
        workers = []
        for one, _ in pair:
            # A job that waits for the worker tells when it is there; some more warm it up.
            systems.enqueue(one, server, 1)
            worker = stack.enter_context(
                systems.worker(one, server, 1 + WARM_UP_JOBS + jobs, latency=True)
            )
            workers.append(worker)
        for worker in workers:
            worker.wait_until_started()
        time.sleep(SETTLING_DOWN)
        chosen = [one for one, _ in pair]
        systems.drip_in_turns(chosen, server, WARM_UP_JOBS + jobs, interval, TURN, first=1)
        for worker, (_, about) in zip(workers, pair, strict=True):
            latencies = worker.wait_until_drained(about.remaining).latencies
            found.append([1000 * seconds for seconds in latencies[1 + WARM_UP_JOBS :]])
    for name, percent in (("p50", 50), ("p99", 99)):
        bare, ours = (percentile(values, percent) for values in found)
        yield Measurement(BARE.name, name, bare, "ms", jobs)
        yield Measurement(system.name, name, ours, "ms", jobs)
        yield Measurement(system.name, f"{name} to bare", ours / bare, "times", jobs)


def main(words: Sequence[str] | None = None) -> int:
    options = parser(
        "Milliseconds from enqueuing a job to the start of its handler, on an idle system.",
        f"python benchmarks/latency.py --interval 20 --systems {PEERS}",
        systems=ALL,
        rounds=4,
    )
    options.add_argument(
        "--interval",
        type=float,
        default=INTERVAL_MS,
        metavar="MS",
        help=f"ms from one job to the next (default: {INTERVAL_MS:g})",
    )
    arguments = options.parse_args(words)
    interval = arguments.interval / 1000

    def measured(session: Session, system: System, description: Description) -> Iterator[Measured]:
        return measure(session, system, description, interval)

    # Two sides of each pair take their turns; starting and stopping takes some seconds more.
    seconds = 2 * (WARM_UP_JOBS + JOBS) * interval + 4
    return run(arguments, "latency", METRICS, measured, seconds=seconds)


if __name__ == "__main__":
    sys.exit(main())
