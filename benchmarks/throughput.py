"""Jobs a second: processed by one worker, enqueued in bulk, and enqueued one by one.

Every run has a server of its own, started empty. For `process`, the backlog is enqueued first;
then one worker process drains it. The time runs from the first line of the first job's handler
until the server holds no job that is queued or unacknowledged, so that starting the worker does
not count and settling the last batch does. The handlers do nothing but count, and a run in which
any job was missing or ran twice is a failure.
"""

import sys
from collections.abc import Iterator, Sequence

from harness import systems
from harness.measure import Measurement
from harness.session import Session, parser, run
from harness.systems import Description, System

METRICS = {
    "process": "a backlog of no-op jobs drained by one worker process",
    "enqueue": "jobs enqueued by one process with the best bulk interface",
    "single": "jobs enqueued by one process, each awaited before the next",
}

ALL = (
    "bare,bare+status,streamq,streamq-ttl0,streamq-batch,streamq-batch-ttl0,"
    "bullmq,dramatiq,taskiq,docket,saq,arq,streaq,celery,rq"
)
SINGLE_SECONDS = 2.0


def measure(session: Session, system: System, description: Description) -> Iterator[Measurement]:
    jobs = session.jobs(description.jobs)
    with session.server() as server:
        systems.enqueue(system, server, jobs)
        with systems.worker(system, server, jobs) as worker:
            processed = worker.wait_until_drained(description.remaining)
    yield Measurement(system.name, "process", jobs / processed.seconds, "jobs/s", jobs)
    if system.only_processes:
        return

    jobs = session.jobs(description.bulk_jobs)
    with session.server() as server:
        seconds = systems.enqueue(system, server, jobs)
    yield Measurement(system.name, "enqueue", jobs / seconds, "jobs/s", jobs)

    with session.server() as server:
        limit = session.jobs(1_000_000)
        seconds = 0.5 if session.quick else SINGLE_SECONDS
        rate, sent = systems.drip(system, server, limit, seconds, interval=0.0)
    yield Measurement(system.name, "single", rate, "jobs/s", sent)


def main(words: Sequence[str] | None = None) -> int:
    arguments = parser(
        "Jobs per second of streamq, its peers, and a bare loop of the same commands.",
        "python benchmarks/throughput.py --systems bare,streamq,bullmq --rounds 3 --svg out.svg",
        systems=ALL,
        rounds=5,
    ).parse_args(words)
    return run(arguments, "throughput", METRICS, measure, seconds=12)


if __name__ == "__main__":
    sys.exit(main())
