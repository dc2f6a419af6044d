"""What to compare with: one asyncio process and one server, and nothing between but a loop.

It reads a batch with XREADGROUP, decodes each job's JSON, and settles the batch with one script
that checks for each entry that it is still this consumer's, acknowledges it and deletes it, with
and without a status hash for each job. The best of these is what queues are compared with:

    100 ... 1000      how many entries a read takes (COUNT)
    in turn, ahead    each step after the other, or the next read under way meanwhile
    entry, range      the fence asks for each entry, or once for the range of the batch

`peers/bare/loop.py` is the loop; `throughput.py` has its best variant as the system `bare`.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

from harness import systems
from harness.measure import Measurement
from harness.session import Session, parser, run
from harness.systems import SYSTEMS, Description, System

METRICS = {
    "plain": "read, decode, settle",
    "status": "read, decode, settle with a status hash for each job",
    "XADD": "written by one process, in pipelines or each awaited before the next",
}

COUNTS = (100, 200, 500, 1_000)
JOBS = 200_000
SINGLE_SECONDS = 3.0
WRITING = replace(SYSTEMS["bare"], name="XADD")


def variants() -> Iterator[System]:
    for status, fence, ahead, count in product((0, 1), ("entry", "range"), (0, 1), COUNTS):
        order = "ahead" if ahead else "in turn"
        name = f"{count} {order}, {fence}"
        options = {"status": status, "fence": fence, "ahead": ahead, "count": count}
        yield replace(
            SYSTEMS["bare"], name=name, options={key: str(value) for key, value in options.items()}
        )


def measure(session: Session, system: System, description: Description) -> Iterator[Measurement]:
    if system is WRITING:
        yield from measure_writing(session, description)
        return
    metric = "status" if system.options["status"] == "1" else "plain"
    jobs = session.jobs(JOBS)
    with session.server() as server:
        systems.enqueue(system, server, jobs)
        with systems.worker(system, server, jobs) as worker:
            processed = worker.wait_until_drained(description.remaining)
    yield Measurement(system.name, metric, jobs / processed.seconds, "jobs/s", jobs)


def measure_writing(session: Session, description: Description) -> Iterator[Measurement]:
    jobs = session.jobs(description.bulk_jobs)
    with session.server() as server:
        seconds = systems.enqueue(WRITING, server, jobs)
    yield Measurement("in pipelines", "XADD", jobs / seconds, "jobs/s", jobs)
    with session.server() as server:
        seconds = 0.5 if session.quick else SINGLE_SECONDS
        rate, sent = systems.drip(WRITING, server, session.jobs(1_000_000), seconds, 0.0)
    yield Measurement("awaited", "XADD", rate, "jobs/s", sent)


def main(words: Sequence[str] | None = None) -> int:
    arguments = parser(
        "What a loop of the same commands does, with no queue around it.",
        "python benchmarks/bare.py --rounds 3 --json bare.json",
        systems=None,
        rounds=3,
    ).parse_args(words)
    return run(
        arguments,
        "bare",
        METRICS,
        measure,
        seconds=4,
        chosen=[WRITING, *variants()],
        show_settings=False,
    )


if __name__ == "__main__":
    sys.exit(main())
