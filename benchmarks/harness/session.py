"""The frame of every script: its command line, its rounds, and what it leaves behind."""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from harness import systems
from harness.chart import dots, lines
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
            default=systems,
            metavar="A,B,...",
            help=f"what to measure (default: {systems})",
        )
    parser.add_argument(
        "--rounds", type=int, default=rounds, help=f"how often to repeat (default: {rounds})"
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
    chosen: list[System] | None = None,
    show_settings: bool = True,
) -> int:
    """Measure, print, write; returns the exit code: 1 if anything failed.

    `chosen` are the systems where the command line gives no choice. `show_settings` can be left
    out where their names say it all.
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
            chosen = systems.choose(arguments.systems.split(","))
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
    )
    for number, system in interleaved(chosen, session.rounds):
        progress = f"round {number + 1}/{session.rounds} {system.name}"
        for measured in _caught(measure(session, system, descriptions[system.name])):
            if isinstance(measured, BenchmarkError):
                report.failures.append(f"{progress}: {measured}")
                print(f"{progress}: failed: {measured}", file=sys.stderr)
                continue
            report.measurements.append(replace(measured, round=number))
            at = "" if measured.x is None else f" at {readable(measured.x)}"
            value = f"{readable(measured.value)} {measured.unit}"
            print(f"{progress}: {measured.metric}{at} {value}", file=sys.stderr)
    report.print(console)
    if arguments.json:
        report.write_json(arguments.json)
    if arguments.svg:
        curves = any(measurement.x is not None for measurement in report.measurements)
        arguments.svg.write_text(lines(report) if curves else dots(report))
    return 1 if report.failures else 0


def interleaved(chosen: list[System], rounds: int) -> Iterator[tuple[int, System]]:
    """Every system once a round, every other round backwards, so that a drift cancels out."""
    for number in range(rounds):
        for system in chosen if number % 2 == 0 else reversed(chosen):
            yield number, system


def _caught(measurements: Iterable[Measured]) -> Iterator[Measured]:
    """The measurements, and at their end the error that ended them."""
    try:
        yield from measurements
    except BenchmarkError as error:
        yield error
