"""The frame of every script: its command line, its rounds, and what it leaves behind."""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import redis
from rich.console import Console

from harness import systems
from harness.chart import draw
from harness.machine import this_machine
from harness.measure import Measurement
from harness.report import Report, readable
from harness.server import BenchmarkError, Server, Transport, find_server, start_server
from harness.systems import Description, System

WIDTH = 120

QUICK = 20  # how many times fewer jobs --quick measures

# A failure among the measurements is recorded and the rest goes on; one that is raised ends the
# system's round.
Measured = Measurement | BenchmarkError
Measure = Callable[["Session", System, Description], Iterable[Measured]]


@dataclass(frozen=True)
class Session:
    """The choices of one invocation."""

    binary: Path
    transport: Transport
    rounds: int
    jobs_wanted: int | None
    quick: bool

    def server(self) -> AbstractContextManager[Server]:
        """A fresh server."""
        return start_server(self.binary, self.transport)

    def jobs(self, default: int) -> int:
        """`--jobs`, or the default, or with `--quick` a fraction of that."""
        if self.jobs_wanted is not None:
            return self.jobs_wanted
        return max(50, default // QUICK) if self.quick else default


def parser(
    description: str, example: str, *, systems: str | None, rounds: int
) -> argparse.ArgumentParser:
    """The options that all scripts share.

    `systems` are those measured by default; None where there is no choice.
    """
    parser = argparse.ArgumentParser(
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--server",
        default="valkey",
        metavar="valkey|redis|PATH",
        help="which server to start (default: valkey, the one that streamq brings)",
    )
    parser.add_argument(
        "--transport",
        choices=["tcp", "unix"],
        default="tcp",
        help="how the systems connect (default: tcp, over loopback)",
    )
    if systems is not None:
        parser.add_argument(
            "--systems",
            metavar="A,B,...",
            help=f"what to measure (default: as far as they are installed, {systems})",
        )
    parser.set_defaults(all_systems=systems)
    parser.add_argument(
        "--rounds", type=int, default=rounds, help=f"how often to repeat (default: {rounds})"
    )
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="M",
        help="begin no round that would end later (default: printed at the start)",
    )
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="jobs in each run (default: some seconds' worth)"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"one round with {QUICK} times fewer jobs: to see that all works, not to measure",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number there")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw a chart there")
    return parser


def run(
    arguments: argparse.Namespace,
    benchmark: str,
    metrics: dict[str, str],
    measure: Measure,
    *,
    seconds: float,
    chosen: list[System] | None = None,
    show_settings: bool = True,
    axes: dict[str, str] | None = None,
) -> int:
    """Measure, print, write; returns the exit code: 1 if anything failed.

    `seconds` is about how long one system takes in one round, on a machine that has nothing else
    to do. `chosen` are the systems where the command line gives no choice. `show_settings` can
    be left out where their names say it all. `axes` says of each curve what is varied.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)  # a file has no width to fit: no number may be cut
    try:
        session = Session(
            binary=find_server(arguments.server),
            transport=arguments.transport,
            rounds=1 if arguments.quick else arguments.rounds,
            jobs_wanted=arguments.jobs,
            quick=arguments.quick,
        )
        if chosen is None:
            chosen = _choose(arguments)
        with session.server() as server:
            machine = this_machine(server.version)
        descriptions = {system.name: systems.describe(system) for system in chosen}
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    report = Report(
        benchmark,
        metrics,
        machine,
        descriptions,
        {system.name: system.limit for system in chosen},
        show_settings,
        axes or {},
    )
    limit = _time_limit(arguments, session.rounds * len(chosen) * seconds)
    upto = "" if limit is None else f", {limit / 60:.1f} min at most"
    print(f"{benchmark}: {session.rounds} rounds{upto}", file=sys.stderr)
    for number in _rounds(session.rounds, limit):
        # Every other round backwards, so that a drift of the machine cancels out.
        for system in chosen if number % 2 == 0 else reversed(chosen):
            progress = f"round {number + 1}/{session.rounds} {system.name}"
            for measured in _caught(measure(session, system, descriptions[system.name])):
                if isinstance(measured, BenchmarkError):
                    report.failures.append(f"{progress}: {measured}")
                    print(f"{progress}: failed: {measured}", file=sys.stderr)
                    continue
                report.measurements.append(replace(measured, round=number))
                at = "" if measured.x is None else f" at {readable(measured.x)}"
                value = f"{readable(measured.value)} {measured.unit}"
                print(
                    f"{progress}: {measured.system}, {measured.metric}{at} {value}",
                    file=sys.stderr,
                )
    report.print(console)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        report.write_json(arguments.json)
    if arguments.svg:
        arguments.svg.parent.mkdir(parents=True, exist_ok=True)
        arguments.svg.write_text(draw(report))
    return 1 if report.failures else 0


def _choose(arguments: argparse.Namespace) -> list[System]:
    """The systems that were asked for, or all that are installed."""
    if arguments.systems is not None:
        return systems.choose(arguments.systems.split(","))
    names = arguments.all_systems.split(",")
    missing = [name for name in names if not systems.SYSTEMS[name].installed]
    if missing:
        print(f"without {', '.join(missing)}: python benchmarks/peers/install.py", file=sys.stderr)
    return systems.choose([name for name in names if name not in missing])


def _time_limit(arguments: argparse.Namespace, planned: float) -> float | None:
    """Seconds that all rounds may take; None where it cannot be known."""
    if arguments.minutes is not None:
        return 60.0 * float(arguments.minutes)
    if arguments.quick or arguments.jobs is not None:
        return None
    return planned


def _rounds(count: int, limit: float | None) -> Iterator[int]:
    """Numbers of rounds, as many as fit: none is begun that would not end in time."""
    start = time.monotonic()
    longest = 0.0
    for number in range(count):
        begun = time.monotonic()
        if number and limit is not None and begun - start + longest > limit:
            print(f"stopped after {number} rounds: the time is up (--minutes)", file=sys.stderr)
            return
        yield number
        longest = max(longest, time.monotonic() - begun)


def _caught(measurements: Iterable[Measured]) -> Iterator[Measured]:
    """The measurements, and at their end the error that ended them, if one did."""
    try:
        yield from measurements
    except BenchmarkError as error:
        yield error
    except redis.RedisError as error:
        yield BenchmarkError(f"the server: {error}")
