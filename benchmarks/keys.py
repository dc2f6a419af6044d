"""What order costs: jobs of few keys and of many, beside the same jobs without rules.

Each round drains the same jobs of so many keys twice: by a group with `order=True`, and by one
without rules, which runs them as it likes. Then a key with many jobs stands beside 1,000 others:
its first job is with a consumer that does not end it, so that all others of that key are held as
long as the measurement takes. What jobs of the other keys then do is measured with it and without.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from growth import GROUP, JOBS, STREAM, drain, rate, remaining, with_options
from harness import systems
from harness.measure import Measurement, percentile
from harness.server import BenchmarkError, Server
from harness.session import Measured, Session, parser, run
from harness.systems import SYSTEMS, Description, System

from streamq import lua
from streamq.flow.rules import Rules
from streamq.wire.keys import group_keys

KEYS = (1, 10, 1_000, 100_000)
ONE_KEY = 20_000  # jobs, where all have the same key: one after the other
HOT = (0, 100_000)  # jobs of the key that has many
OTHERS = 1_000  # keys beside it
DRIPPED, INTERVAL = 1_000, 0.005  # for the latency: jobs, and seconds between two
WARM_UP = 100
SETTLING_DOWN = 0.5  # seconds
ORDERED, FREE = "in order", "no rules"

METRICS = {
    "keys": "jobs a second, over the keys that the jobs have",
    "others": f"jobs a second of {OTHERS:,} keys, over the jobs held of another key",
    "p50": "half of such jobs, one every 5 ms, started within",
    "p99": "99 of 100 started within",
}
AXES = {
    "keys": "keys",
    **dict.fromkeys(("others", "p50", "p99"), "jobs held of one other key"),
}


def by_keys(session: Session, keys: int) -> Iterator[Measurement]:
    jobs = min(session.jobs(JOBS), ONE_KEY) if keys == 1 else session.jobs(JOBS)
    for name, order in ((ORDERED, 1), (FREE, 0)):
        processed = drain(session, jobs, keys=keys, order=order)
        yield rate("keys", keys, jobs, processed.seconds, name)


def beside_a_hot_key(session: Session, held: int) -> Iterator[Measurement]:
    held = min(held, session.jobs(held)) if held else 0

    def hold(server: Server) -> int:
        return hold_back(server, held) if held else 0

    jobs = session.jobs(JOBS)
    processed = drain(session, jobs, prepare=hold, keys=OTHERS, order=1)
    yield rate("others", held, jobs, processed.seconds, ORDERED)

    jobs = min(session.jobs(DRIPPED), DRIPPED)
    system = with_options(keys=OTHERS, order=1)
    with session.server() as server:
        hold(server)
        systems.enqueue(system, server, 1)
        total = 1 + WARM_UP + jobs
        with systems.worker(system, server, total, latency=True) as worker:
            worker.wait_until_started()
            time.sleep(SETTLING_DOWN)
            systems.drip(system, server, total - 1, 10 * total * INTERVAL, INTERVAL, first=1)
            found = worker.wait_until_drained(remaining(), 2 * held).latencies[1 + WARM_UP :]
    for name, percent in (("p50", 50), ("p99", 99)):
        yield Measurement(ORDERED, name, 1000 * percentile(found, percent), "ms", jobs, x=held)


def hold_back(server: Server, count: int) -> int:
    """Enqueue jobs of one key, and hold all but the first, which a consumer has; how many."""
    systems.enqueue(with_options(hot=1), server, count)
    server.client.xgroup_create(STREAM, GROUP, id="0")
    call = lua.admit(group_keys(STREAM, GROUP), "busy", 100, Rules.make(order=True).pack())
    while int(server.client.xpending(STREAM, GROUP)["pending"]) < count:
        if server.client.eval(call.source, len(call.keys), *call.keys, *call.args)[3] == b"!":
            raise BenchmarkError("not all jobs of the key could be held")
    return count


def main(words: Sequence[str] | None = None) -> int:
    options = parser(
        "Jobs a second in the order of their keys, for few keys and for many.",
        "python benchmarks/keys.py --rounds 1 --json keys.json",
        systems=None,
        rounds=3,
    )
    arguments = options.parse_args(words)

    def measure(session: Session, system: System, description: Description) -> Iterator[Measured]:
        for measured, points in ((by_keys, KEYS), (beside_a_hot_key, HOT)):
            for x in points:
                try:
                    yield from measured(session, x)
                except BenchmarkError as error:
                    yield BenchmarkError(f"{measured.__name__} at {x}: {error}")

    return run(
        arguments,
        "keys",
        METRICS,
        measure,
        seconds=160,
        chosen=[replace(SYSTEMS["streamq"], name="streamq")],
        axes=AXES,
    )


if __name__ == "__main__":
    sys.exit(main())
