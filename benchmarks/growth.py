"""How streamq fares when something grows: the backlog, the groups, the retries, the payload ...

Each curve varies one thing and measures jobs a second, as `throughput.py` does, and the worker's
memory where that might grow. Handlers do nothing, but for those of `concurrency` that wait for
10 ms. How well they do is `I/O-bound`: their jobs a second as a share of what is possible, which
is concurrency ÷ 10 ms, or what handlers that do nothing reach in the same round where that is less.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from harness import systems
from harness.measure import Measurement
from harness.server import BenchmarkError, Server
from harness.session import Measured, Session, parser, run
from harness.systems import SYSTEMS, Description, System, wait_until_left

STREAM = "jobs"
GROUP = "group-0"
RECORDS = f"{{{STREAM}}}:group:{GROUP}:job:"
RETRY_SET = f"{{{STREAM}}}:group:{GROUP}:retry"
PARKED = "~retry"  # the consumer that holds what is parked

JOBS = 100_000
WAIT_MS = 10  # of the handlers that wait
PAYLOAD_TOTAL = 200_000_000  # bytes of data in the backlog of one run, at most
HOUR_MS = 3_600_000

# Delivers entries to a consumer, and leaves them as if that had been a while ago, or parked as
# the worker parks them. There is no other way to have a million of them in some seconds.
#
# KEYS[1] the stream, KEYS[2] the retry set; ARGV[1] the group, ARGV[2] the consumer, ARGV[3] how
# many, ARGV[4] their idle time in ms, ARGV[5] when they are due, in ms, or 0 for those that are not
# parked, ARGV[6] the prefix of their records. Returns how many there were.
DELIVER = """
local reply = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', ARGV[3],
  'STREAMS', KEYS[1], '>')
if not reply then return 0 end
local claim = { KEYS[1], ARGV[1], ARGV[2], 0 }
for _, entry in ipairs(reply[1][2]) do
  claim[#claim + 1] = entry[1]
  if ARGV[5] ~= '0' then
    redis.call('ZADD', KEYS[2], ARGV[5], entry[1])
    redis.call('HSET', ARGV[6] .. entry[1], 'error', 'Retry', 'failed_at', 1, 'deliveries', 4)
    redis.call('PEXPIRE', ARGV[6] .. entry[1], 90000000)
  end
end
if ARGV[4] ~= '0' then
  for _, option in ipairs({ 'IDLE', ARGV[4], 'JUSTID' }) do claim[#claim + 1] = option end
  redis.call('XCLAIM', unpack(claim))
end
return #reply[1][2]
"""
CHUNK = 1_000  # entries in one call of it


@dataclass(frozen=True)
class Curve:
    """One thing that grows: at which points, and what is measured at one of them.

    `seconds` is about how long it takes on a machine that has nothing else to do.
    """

    meaning: str
    points: Sequence[int]
    seconds: float
    measure: Callable[[Session, int], Iterator[Measurement]]


def with_options(**options: int) -> System:
    values = {key: str(value) for key, value in options.items()}
    return replace(SYSTEMS["streamq"], options=values)


def remaining(groups: int = 1) -> list[list[str]]:
    pending = [["XPENDING", STREAM, f"group-{number}"] for number in range(groups)]
    return [["XLEN", STREAM], *pending]


def drain(
    session: Session,
    jobs: int,
    *,
    payload: int = 100,
    groups: int = 1,
    prepare: Callable[[Server], int] = lambda server: 0,
    **options: int,
) -> systems.Processed:
    """Enqueue and drain a backlog. `prepare` fills the server first, and says how much stays."""
    system = with_options(groups=groups, **options)
    with session.server() as server:
        rest = 2 * prepare(server)  # in the stream, and in the pending entries list
        systems.enqueue(system, server, jobs, payload)
        with systems.worker(system, server, jobs, each=groups) as worker:
            return worker.wait_until_drained(remaining(groups), rest)


def rate(metric: str, x: int, jobs: int, seconds: float, system: str = "streamq") -> Measurement:
    return Measurement(system, metric, jobs / seconds, "jobs/s", jobs, x=x)


def backlog(session: Session, size: int) -> Iterator[Measurement]:
    processed = drain(session, size)
    yield rate("backlog", size, size, processed.seconds)
    yield Measurement("streamq", "memory", processed.peak_rss / 2**20, "MiB", size, x=size)


def groups(session: Session, count: int) -> Iterator[Measurement]:
    jobs = session.jobs(JOBS) // count
    yield rate("groups", count, jobs * count, drain(session, jobs, groups=count).seconds)


def parked(session: Session, count: int) -> Iterator[Measurement]:
    def park(server: Server) -> int:
        return deliver(server, count, PARKED, due_in_ms=HOUR_MS)

    jobs = session.jobs(JOBS)
    yield rate("parked", count, jobs, drain(session, jobs, prepare=park).seconds)


def pending(session: Session, count: int) -> Iterator[Measurement]:
    def hold(server: Server) -> int:
        return deliver(server, count, "busy")

    jobs = session.jobs(JOBS)
    yield rate("pending", count, jobs, drain(session, jobs, prepare=hold).seconds)


def stalled(session: Session, count: int) -> Iterator[Measurement]:
    with session.server() as server:
        deliver(server, count, "gone", idle_ms=HOUR_MS)
        with systems.worker(with_options(), server, count) as worker:
            processed = worker.wait_until_drained(remaining())
    yield rate("stalled", count, count, processed.seconds)


def payload(session: Session, size: int) -> Iterator[Measurement]:
    jobs = min(session.jobs(JOBS), PAYLOAD_TOTAL // size)
    yield rate("payload", size, jobs, drain(session, jobs, payload=size).seconds)


def concurrency(session: Session, count: int) -> Iterator[Measurement]:
    jobs = session.jobs(JOBS)
    no_op = rate("concurrency", count, jobs, drain(session, jobs, concurrency=count).seconds)
    yield no_op
    # Two seconds' worth, if handlers waited and nothing else took time.
    jobs = max(100, min(session.jobs(JOBS), 2_000 // WAIT_MS * count))
    processed = drain(session, jobs, concurrency=count, sleep_ms=WAIT_MS)
    name = f"streamq, {WAIT_MS} ms"
    waiting = rate("concurrency", count, jobs, processed.seconds, name)
    yield waiting
    possible = min(1_000 / WAIT_MS * count, no_op.value)
    yield Measurement(name, "I/O-bound", 100 * waiting.value / possible, "%", jobs, x=count)


def processes(session: Session, count: int) -> Iterator[Measurement]:
    """From when every process has handled a job, which leaves out that they start in turn."""
    jobs = 4 * session.jobs(JOBS)
    system = with_options()
    with session.server() as server, ExitStack() as stack:
        systems.enqueue(system, server, jobs)
        workers = [
            stack.enter_context(systems.worker(system, server, jobs, spread=True))
            for _ in range(count)
        ]
        for worker in workers:
            worker.wait_until_started()
        started, left = time.monotonic_ns(), server.remaining([["XLEN", STREAM]])
        ended = wait_until_left(server, remaining(), 0, "streamq")
        handled = sum(worker.count() for worker in workers)
        if handled != jobs:
            raise BenchmarkError(f"{count} workers handled {handled} instead of {jobs} jobs")
        yield rate("processes", count, left, (ended - started) / 1e9)


def deliver(
    server: Server, count: int, consumer: str, *, idle_ms: int = 0, due_in_ms: int = 0
) -> int:
    """Enqueue, and leave all with a consumer that does nothing with it; returns how many."""
    systems.enqueue(with_options(), server, count)
    server.client.xgroup_create(STREAM, GROUP, id="0")
    script = server.client.register_script(DELIVER)
    due = int(time.time() * 1000) + due_in_ms if due_in_ms else 0
    delivered = 0
    while found := int(
        script([STREAM, RETRY_SET], [GROUP, consumer, CHUNK, idle_ms, due, RECORDS])
    ):
        delivered += found
    if delivered != count:
        raise BenchmarkError(f"{delivered} instead of {count} entries could be prepared")
    return count


SIZES = (10**3, 10**4, 10**5, 10**6)

CURVES = {
    "backlog": Curve("jobs that wait at the start", SIZES, 35, backlog),
    "groups": Curve("groups on one stream, their jobs added up", (1, 2, 4, 8), 16, groups),
    "parked": Curve("retries that wait for their time meanwhile", SIZES, 30, parked),
    "pending": Curve("entries that another consumer holds meanwhile", SIZES[:3], 12, pending),
    "stalled": Curve("entries taken over from a consumer that died", SIZES[:3], 12, stalled),
    "payload": Curve("bytes of data in each job", (100, 1_000, 10_000, 100_000), 16, payload),
    "concurrency": Curve(
        "handlers that run at once", (1, 3, 10, 30, 100, 300, 1_000), 55, concurrency
    ),
    "processes": Curve("worker processes, on all cores", (1, 2, 3, 4), 40, processes),
}

AXES = {
    **{name: curve.meaning for name, curve in CURVES.items()},
    "memory": CURVES["backlog"].meaning,
    "I/O-bound": CURVES["concurrency"].meaning,
}

METRICS = {
    "backlog": CURVES["backlog"].meaning,
    "memory": "resident memory of the worker at its peak, over the jobs that wait",
    **{name: CURVES[name].meaning for name in CURVES if name != "processes"},
    "I/O-bound": f"handlers that wait for {WAIT_MS} ms, as a share of what is possible",
    "processes": CURVES["processes"].meaning,
}

QUICK_POINTS = 2


def main(words: Sequence[str] | None = None) -> int:
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
    arguments = options.parse_args(words)
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

    return run(
        arguments,
        "growth",
        METRICS,
        measure,
        seconds=sum(CURVES[name].seconds for name in names),
        chosen=[SYSTEMS["streamq"]],
        axes=AXES,
    )


if __name__ == "__main__":
    sys.exit(main())
