"""``streamq consume``: a worker, for an App, a program, or just to see the jobs.

The command and its options are here, ``plan`` is what they come to, ``work`` does it in one
process, ``processes`` in several, and ``printing``, ``logs`` and ``tally`` are what is shown.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Annotated

from streamq.cli.command import Exit, Family, Option
from streamq.cli.connection import run
from streamq.cli.consume.logs import LogLevel, set_up_logging
from streamq.cli.loading import find_app
from streamq.cli.options import (
    Url,
    at_least,
    examples,
    one_of,
    port,
    seconds,
    seconds_within,
    starting_place,
)
from streamq.errors import ConfigError
from streamq.limits import CONCURRENCY, GRACE, LEASE, MIN_LEASE, RESULT_TTL, RETRIES

if TYPE_CHECKING:
    from streamq.app import App
    from streamq.handlers.handler import Handler


def register(app: Family) -> None:
    """Add the command."""
    app.command(
        "consume",
        epilog=examples(
            "streamq consume --app worker:app",
            "streamq consume --exec 'convert -resize 256 -- {file} thumbnails/{@id}.png'",
            "streamq consume --group audit --burst",
        ),
    )(consume)


def consume(
    app: Annotated[
        str | None,
        Option(
            "--app",
            "-a",
            metavar="MODULE:NAME",
            help="The App whose handlers to run. [default: STREAMQ_APP, else app in "
            "[tool.streamq] of ./pyproject.toml]",
        ),
    ] = None,
    command: Annotated[
        str | None,
        Option(
            "--exec",
            "-x",
            metavar="COMMAND",
            help="The program to run for each job: {file} is its field file, {@id} its ID.",
        ),
    ] = None,
    groups: Annotated[
        list[str] | None,
        Option(
            "--group",
            "-g",
            metavar="NAME",
            help="The consumer group; may be repeated. [default: those of the App, else default]",
            show_default=False,
        ),
    ] = None,
    streams: Annotated[
        list[str] | None,
        Option(
            "--stream",
            "-s",
            metavar="NAME",
            help="The stream; may be repeated. [default: those of the App, else jobs]",
            show_default=False,
        ),
    ] = None,
    concurrency: Annotated[
        int | None,
        Option(
            "--concurrency",
            "-c",
            metavar="N",
            parser=at_least(1),
            help="How many jobs of a group run at once. [default: 16; with --exec one a core]",
        ),
    ] = None,
    retries: Annotated[
        int | None,
        Option(
            "--retries",
            metavar="N",
            parser=at_least(0),
            help="Tries after a first failure; not with an App, which says so itself. [default: 3]",
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        Option(
            "--timeout",
            metavar="TIME",
            parser=seconds,
            help="How long one try may take; not with an App. [default: no limit]",
        ),
    ] = None,
    lease: Annotated[
        float,
        Option(
            "--lease",
            metavar="TIME",
            parser=seconds_within(MIN_LEASE, math.inf, "50ms or more"),
            help="Without a heartbeat for so long, another worker takes a job over. [default: 30s]",
            show_default=False,
        ),
    ] = LEASE,
    grace: Annotated[
        float,
        Option(
            "--grace",
            metavar="TIME",
            parser=seconds,
            help="Time for running jobs when the worker stops. [default: 30s]",
            show_default=False,
        ),
    ] = GRACE,
    result_ttl: Annotated[
        float,
        Option(
            "--result-ttl",
            metavar="TIME",
            parser=seconds,
            help="How long records of finished jobs are kept; 0 keeps none. [default: 5m]",
            show_default=False,
        ),
    ] = RESULT_TTL,
    start: Annotated[
        str,
        Option(
            "--from",
            metavar="ID",
            parser=starting_place,
            help="Where a new group starts: 0 for all entries, $ for new ones, or after an "
            "entry ID.",
        ),
    ] = "0",
    burst: Annotated[
        bool,
        Option("--burst", help="Stop when nothing is queued, retrying or pending any more."),
    ] = False,
    max_jobs: Annotated[
        int | None,
        Option(
            "--max-jobs", metavar="N", parser=at_least(1), help="Stop after so many deliveries."
        ),
    ] = None,
    processes: Annotated[
        int,
        Option(
            "--processes",
            "-p",
            metavar="N",
            parser=at_least(1),
            help="How many processes do this, each with its own --concurrency; "
            "one that crashes is started again.",
        ),
    ] = 1,
    metrics_port: Annotated[
        int | None,
        Option(
            "--metrics-port",
            metavar="PORT",
            parser=port,
            help="Where Prometheus reads metrics; 0 for none. "
            "[default: 8000, or the next port that is free]",
        ),
    ] = None,
    metrics_host: Annotated[
        str, Option("--metrics-host", metavar="ADDRESS", help="Where metrics are served.")
    ] = "127.0.0.1",
    log_level: Annotated[
        LogLevel,
        Option(
            "--log-level",
            metavar="LEVEL",
            parser=one_of(LogLevel),
            help="What to log, to standard error: debug, info, warning or error.",
        ),
    ] = LogLevel.INFO,
    quiet: Annotated[bool, Option("--quiet", "-q", help="Log only warnings and errors.")] = False,
    url: Url = None,
) -> None:
    """Process jobs until Ctrl-C.

    With an App, its handlers process them. With --exec, a program does: it gets the job
    as a JSON object on standard input and fields of its data as arguments, which no
    shell reads; a value that begins with - is only taken after a -- in the command. Exit
    code 0 is success, 75 asks for another try, 65 gives the job up, and any other is a
    failure, whose reason is the end of standard error.

    With neither, each job is printed and done with: it counts as succeeded for this
    group. To look without taking jobs: streamq pending.

    At Ctrl-C or SIGTERM, running jobs are finished and the others given back; a second
    one leaves at once.
    """
    if app is not None and command is not None:
        raise ConfigError("give --app or --exec, not both")
    if timeout is not None and timeout <= 0:
        raise ConfigError("--timeout 0: give more than zero, or leave it out for no limit")
    if processes > 1 and max_jobs is not None:
        raise ConfigError("--max-jobs is for one process: leave out --processes")
    place = None
    if processes > 1:
        from streamq.cli.consume.processes import find_place

        place = find_place()
        url = url if place is None else place.url
    set_up_logging(LogLevel.WARNING if quiet else log_level, place.number if place else None)

    from streamq.cli.consume.plan import Plan
    from streamq.cli.consume.printing import Output, printing_handler
    from streamq.programs.command import exec_handler
    from streamq.worker import Settings
    from streamq.worker.shutdown import end_with_main

    output = Output()
    found = find_app(app) if command is None else None
    tries = RETRIES if retries is None else retries
    work: App | Handler
    if command is not None:
        work = exec_handler(command, retries=tries, timeout=timeout, output=output.relay)
    elif found is None:
        work = printing_handler(output, retries=tries, timeout=timeout)
        grace = 0  # a job that cannot be printed any more has nothing to wait for
    elif retries is not None or timeout is not None:
        option = "retries" if retries is not None else "timeout"
        raise ConfigError(f"--{option} is not for an App: write @app.handler(..., {option}=…)")
    else:
        work = found
    if concurrency is None:
        concurrency = CONCURRENCY if command is None else os.cpu_count() or 1
    plan = Plan(
        url=url,
        groups=groups or [],
        streams=streams or [],
        work=work,
        prints=found is None and command is None,
        settings=Settings(
            concurrency=concurrency, lease=lease, result_ttl=result_ttl, grace=grace, start=start
        ),
        burst=burst,
        max_jobs=max_jobs,
        processes=processes,
        metrics_port=metrics_port,
        metrics_host=metrics_host,
    )
    if processes > 1 and place is None:
        from streamq.cli.consume.processes import supervise

        raise Exit(run(lambda: supervise(plan), fast=True))
    if place is not None:
        from streamq.cli.consume.work import work_in

        run(lambda: work_in(place, plan, output), fast=True)
    else:
        from streamq.cli.consume.work import work_alone

        run(lambda: work_alone(plan, output), fast=True)
    end_with_main()
    output.check()
