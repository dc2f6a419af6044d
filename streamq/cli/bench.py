"""``streamq bench``: what the server can do, and what one worker makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from streamq.cli.command import Exit, Family, Option
from streamq.cli.connection import connect, run
from streamq.cli.exits import ExitCode
from streamq.cli.options import Json, Url, Yes, at_least, examples
from streamq.cli.output import confirm, note, say, say_json
from streamq.cli.rows import say_table
from streamq.errors import ConfigError
from streamq.text import printable

if TYPE_CHECKING:
    from streamq.bench import BenchReport, Drained, Percentiles

MIN_PAYLOAD = 16
MIB = 1024 * 1024
"""The limits that the library sets for a payload."""

WAITING = "Waiting for the server to remove what was written; Ctrl-C leaves at once, and it expires"


def register(app: Family) -> None:
    """Add the command."""
    app.command(
        "bench",
        short_help="Measure the server, and one worker with it.",
        epilog=examples(
            "streamq bench",
            "streamq bench --payload 2000 --concurrency 100",
            "streamq bench --json | jq '{limit, server_limit}'",
        ),
    )(bench)


def bench(
    jobs: Annotated[
        int | None,
        Option(
            "--jobs",
            metavar="N",
            parser=at_least(1),
            help="The size of each backlog. [default: what half a second is enough to "
            "write, 50,000 at most]",
            show_default=False,
        ),
    ] = None,
    payload: Annotated[
        int,
        Option(
            "--payload",
            metavar="BYTES",
            parser=at_least(MIN_PAYLOAD, MIB),
            help=f"The data of each job: {MIN_PAYLOAD} to {MIB:,}.",
        ),
    ] = 100,
    concurrency: Annotated[
        int,
        Option("--concurrency", "-c", metavar="N", parser=at_least(1), help="Handlers at once."),
    ] = 16,
    json: Json = False,
    yes: Yes = False,
    url: Url = None,
) -> None:
    """Measure what the server can do, and what one worker process makes of it.

    This takes about ten seconds (more with a server far away) and keeps the server busy for
    as long: whoever else uses it waits longer. It asks first, unless the server is on this
    machine. Other keys are not touched; those of the benchmark are removed at the end, also
    at Ctrl-C or SIGTERM.

    SERVER and CLIENT are the parts of the time for which the server's main thread and
    this process were busy. OF BARE compares a worker with a bare loop of the same commands
    and scripts. That is no limit: a worker can be above 100%.
    """
    _check(jobs, payload)
    _ask(url, yes=yes)

    code = ExitCode.OK

    async def main() -> BenchReport | None:
        from streamq.bench import Bench
        from streamq.cli.signals import interruptible

        def stop(asked: ExitCode) -> None:
            nonlocal code
            code = asked
            measured.stop()

        async with connect(url) as server:
            measured = Bench(server, jobs=jobs, payload=payload, concurrency=concurrency, tell=note)
            note(f"Measuring: this puts full load on the server at {printable(server.where)}")
            with interruptible(stop, WAITING):
                return await measured.run()

    report = run(main, fast=True)
    if report is None:
        raise Exit(code)
    if json:
        say_json(report.to_dict())
    else:
        _show(report)


def _check(jobs: int | None, payload: int) -> None:
    from streamq.bench.workload import MOST_BYTES

    most = MOST_BYTES // payload
    if jobs is not None and jobs > most:
        raise ConfigError(
            f"--jobs {jobs}: give 1 to {most:,} with a --payload of {payload:,} bytes, for all "
            "of them are in the server at once"
        )


def _ask(url: str | None, *, yes: bool) -> None:
    """Ask before a server is measured that others may depend on."""
    from streamq.server.address import default_url
    from streamq.server.topology import topology_of

    url = url or default_url()
    if url is None:
        return
    where = topology_of(url).where
    parts = urlsplit(url)
    if parts.scheme != "unix" and parts.hostname not in (None, "localhost", "127.0.0.1", "::1"):
        confirm(f"Put full load on the server at {where} for about ten seconds?", yes=yes)


def _show(report: BenchReport) -> None:
    own = "embedded " if report.embedded else ""
    say(
        f"{own}{report.server.name.capitalize()} {printable(report.server.version)} at "
        f"{printable(report.where)}: {report.jobs:,} jobs of {report.payload:,} bytes, "
        f"{report.concurrency:,} handlers at once\n"
    )
    plain, recorded = report.plain, report.recorded
    say_table(
        ("", "JOBS/S", "OF BARE", "SERVER", "CLIENT"),
        [
            ("produce, each awaited", f"{report.produce_one:,.0f}", None, None, None),
            ("produce_many", f"{report.produce_many:,.0f}", None, None, None),
            _row("worker, no status records", plain.worker, plain.ratio),
            _row("bare loop, no status records", plain.bare),
            _row("worker, status records", recorded.worker, recorded.ratio),
            _row("bare loop, status records", recorded.bare),
        ],
        right=("JOBS/S", "OF BARE", "SERVER", "CLIENT"),
    )
    say()
    say_table(
        ("", "P50 MS", "P99 MS"),
        [
            _milliseconds("round trip (PING)", report.round_trip),
            _milliseconds("produce to handler, idle worker", report.latency),
        ],
        right=("P50 MS", "P99 MS"),
    )
    say(f"\n{report.verdict}")


def _row(name: str, drained: Drained, ratio: float | None = None) -> tuple[str | None, ...]:
    return (
        name, f"{drained.jobs_per_second:,.0f}", _percent(ratio),
        _percent(drained.server_busy), _percent(drained.client_busy),
    )  # fmt: skip


def _percent(part: float | None) -> str | None:
    return None if part is None else f"{part:.0%}"


def _milliseconds(name: str, percentiles: Percentiles) -> tuple[str, str, str]:
    return name, f"{percentiles.p50:.3f}", f"{percentiles.p99:.3f}"
