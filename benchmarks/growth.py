"""How streamq fares when something grows: the backlog, the groups, the retries, the payload ...

Each curve varies one thing and measures jobs a second, as `throughput.py` does. Handlers do
nothing, but for the second line of `concurrency`, whose handlers wait for 10 ms.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from harness import systems
from harness.measure import Measurement
from harness.server import BenchmarkError, Server
from harness.session import Measured, Session, parser, run
from harness.systems import SYSTEMS, Description, System, wait_until_left

STREAM = "jobs"
GROUP = "group-0"
RETRY_SET = f"{{{STREAM}}}:group:{GROUP}:retry"

JOBS = 100_000
WAIT_MS = 10  # of the handlers that wait
PAYLOAD_TOTAL = 200_000_000  # bytes of data in the backlog of one run, at the most
CHUNK = 1_000  # entries in one command that prepares a pending list


@dataclass(frozen=True)
class Curve:
    """One thing that grows: at which points, and what is measured at one of them."""

    meaning: str
    points: Sequence[int]
    measure: Callable[[Session, int], Iterator[Measurement]]


def with_options(**options: int) -> System:
    values = {key: str(value) for key, value in options.items()}
    return replace(SYSTEMS["streamq"], options=values)


def drain(
    session: Session,
    jobs: int,
    *,
    system: System | None = None,
    payload: int = 100,
    each: int = 1,
    prepare: Callable[[Server], int] = lambda server: 0,
) -> systems.Processed:
    """Enqueue and drain a backlog. `prepare` fills the server first, and says what stays."""
    system = system or with_options()
    remaining = systems.describe(system).remaining
    with session.server() as server:
        rest = prepare(server)
        systems.enqueue(system, server, jobs, payload)
        with systems.worker(system, server, jobs, each=each) as worker:
            return worker.wait_until_drained(remaining, rest)


def rate(metric: str, x: int, jobs: int, seconds: float, system: str = "streamq") -> Measurement:
    return Measurement(system, metric, jobs / seconds, "jobs/s", jobs, x=x)


def backlog(session: Session, size: int) -> Iterator[Measurement]:
    processed = drain(session, size)
    yield rate("backlog", size, size, processed.seconds)
    yield Measurement("streamq", "backlog memory", processed.peak_rss / 2**20, "MiB", size, x=size)


def groups(session: Session, count: int) -> Iterator[Measurement]:
    jobs = session.jobs(JOBS) // count
    processed = drain(session, jobs, system=with_options(groups=count), each=count)
    yield rate("groups", count, jobs * count, processed.seconds)


def parked(session: Session, count: int) -> Iterator[Measurement]:
    def park(server: Server) -> int:
        system = with_options(retry_s=3600)
        systems.enqueue(system, server, count)
        with systems.worker(system, server, count):
            # Entries are in the set once the worker has settled them.
            wait_for_size(server, ["ZCARD", RETRY_SET], count)
        return 2 * count  # in the stream, and in the pending entries list

    jobs = session.jobs(JOBS)
    yield rate("parked", count, jobs, drain(session, jobs, prepare=park).seconds)


def pending(session: Session, count: int) -> Iterator[Measurement]:
    def hold(server: Server) -> int:
        deliver(server, count, idle_ms=0)
        return 2 * count

    jobs = session.jobs(JOBS)
    yield rate("pending", count, jobs, drain(session, jobs, prepare=hold).seconds)


def stalled(session: Session, count: int) -> Iterator[Measurement]:
    system = with_options()
    remaining = systems.describe(system).remaining
    with session.server() as server:
        deliver(server, count, idle_ms=3_600_000)
        with systems.worker(system, server, count) as worker:
            yield rate("stalled", count, count, worker.wait_until_drained(remaining).seconds)


def payload(session: Session, size: int) -> Iterator[Measurement]:
    jobs = min(session.jobs(JOBS), PAYLOAD_TOTAL // size)
    yield rate("payload", size, jobs, drain(session, jobs, payload=size).seconds)


def concurrency(session: Session, count: int) -> Iterator[Measurement]:
    jobs = session.jobs(JOBS)
    processed = drain(session, jobs, system=with_options(concurrency=count))
    yield rate("concurrency", count, jobs, processed.seconds)
    # Two seconds' worth, if handlers waited and nothing else took time.
    jobs = max(100, min(session.jobs(JOBS), 2_000 // WAIT_MS * count))
    processed = drain(session, jobs, system=with_options(concurrency=count, sleep_ms=WAIT_MS))
    waiting = f"streamq, {WAIT_MS} ms"
    yield rate("concurrency", count, jobs, processed.seconds, waiting)


def processes(session: Session, count: int) -> Iterator[Measurement]:
    """From when every process has handled a job, which leaves out that they start in turn."""
    jobs = 4 * session.jobs(JOBS)
    system = with_options()
    remaining = systems.describe(system).remaining
    with session.server() as server, ExitStack() as stack:
        systems.enqueue(system, server, jobs)
        workers = [
            stack.enter_context(systems.worker(system, server, jobs, spread=True))
            for _ in range(count)
        ]
        for worker in workers:
            worker.wait_until_started()
        started, left = time.monotonic_ns(), server.remaining([["XLEN", STREAM]])
        ended = wait_until_left(server, remaining, 0, "streamq")
        handled = sum(worker.count() for worker in workers)
        if handled != jobs:
            raise BenchmarkError(f"{count} workers handled {handled} instead of {jobs} jobs")
        yield rate("processes", count, left, (ended - started) / 1e9)


def deliver(server: Server, count: int, idle_ms: int) -> None:
    """Entries held by a consumer that has done nothing with them for so long."""
    systems.enqueue(with_options(), server, count)
    client = server.client
    client.xgroup_create(STREAM, GROUP, id="0")
    for _ in range(0, count, CHUNK):
        read: Any = client.xreadgroup(GROUP, "gone", {STREAM: ">"}, count=CHUNK)
        ids: Any = [entry_id for entry_id, _ in read[0][1]]
        client.xclaim(STREAM, GROUP, "gone", 0, ids, idle=idle_ms, justid=True)


def wait_for_size(server: Server, command: list[str], size: int) -> None:
    deadline = time.monotonic() + systems.RUN_TIMEOUT
    while (now := server.remaining([command])) < size:
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{' '.join(command)} stays at {now} instead of {size}")
        time.sleep(0.05)


CURVES = {
    "backlog": Curve("jobs that wait at the start", (10**3, 10**4, 10**5, 10**6), backlog),
    "groups": Curve("groups on one stream, their jobs added up", (1, 2, 4, 8), groups),
    "parked": Curve(
        "retries that wait for their time meanwhile", (10**3, 10**4, 10**5, 10**6), parked
    ),
    "pending": Curve(
        "entries that another consumer holds meanwhile", (10**3, 10**4, 10**5), pending
    ),
    "stalled": Curve(
        "entries taken over from a consumer that died", (10**3, 10**4, 10**5), stalled
    ),
    "payload": Curve("bytes of data in each job", (100, 1_000, 10_000, 100_000), payload),
    "concurrency": Curve("handlers that run at once", (1, 3, 10, 30, 100, 300, 1_000), concurrency),
    "processes": Curve("worker processes, on all cores", (1, 2, 3, 4), processes),
}

METRICS = {
    "backlog memory": "resident memory of the worker at its peak, over the jobs that wait",
    **{name: curve.meaning for name, curve in CURVES.items()},
}

QUICK_POINTS = 2


def main() -> int:
    options = parser(
        "How streamq's throughput and memory change with what grows.",
        "python benchmarks/growth.py --curves backlog,parked --rounds 1 --svg growth.svg",
        systems=None,
        rounds=3,
    )
    everything = ",".join(CURVES)
    options.add_argument(
        "--curves",
        default=everything,
        metavar="A,B,...",
        help=f"which curves to measure (default: {everything})",
    )
    arguments = options.parse_args()
    names = arguments.curves.split(",")
    unknown = [name for name in names if name not in CURVES]
    if unknown:
        options.error(f"no curve {', '.join(unknown)}: there are {everything}")

    def measure(session: Session, system: System, description: Description) -> Iterator[Measured]:
        for name in names:
            curve = CURVES[name]
            for x in curve.points[:QUICK_POINTS] if session.quick else curve.points:
                try:
                    yield from curve.measure(session, x)
                except BenchmarkError as error:
                    yield BenchmarkError(f"{name} at {x}: {error}")

    return run(arguments, "growth", METRICS, measure, [SYSTEMS["streamq"]])


if __name__ == "__main__":
    sys.exit(main())
