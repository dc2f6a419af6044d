"""``streamq consume``: a worker, for an App, a program, or just to see the jobs."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from streamq.cli.common import (
    DEFAULT_GROUP,
    DEFAULT_STREAM,
    ExitCode,
    Url,
    connect,
    examples,
    is_terminal,
    note,
    run,
    silence_broken_pipe,
    start_embedded,
)
from streamq.cli.loading import find_app
from streamq.errors import ConfigError
from streamq.text import printable

if TYPE_CHECKING:
    from streamq.app import App
    from streamq.cli.printing import Output
    from streamq.cli.processes import Place
    from streamq.events import Observer
    from streamq.handler import Handler
    from streamq.metrics import Metrics
    from streamq.server import Server
    from streamq.worker import Settings, Subscription, Worker

CONCURRENCY = 16

LEAVE_AFTER = 2.0
"""Seconds after its end that the process waits for threads that still run a handler."""

_log = logging.getLogger("streamq")


class LogLevel(StrEnum):
    """What is logged to standard error."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "consume",
        epilog=examples(
            "streamq consume --app worker:app",
            "streamq consume --group images --exec 'convert -resize 256 -- {file} small.png'",
            "streamq consume --group audit --burst",
        ),
    )(consume)


def consume(
    app: Annotated[
        str | None,
        typer.Option(
            "--app",
            "-a",
            metavar="MODULE:NAME",
            help="The App whose handlers to run. [default: STREAMQ_APP, else app in "
            "[tool.streamq] of ./pyproject.toml]",
        ),
    ] = None,
    command: Annotated[
        str | None,
        typer.Option(
            "--exec",
            "-x",
            metavar="COMMAND",
            help="The program to run for each job: {file} is its field file, {@id} its ID.",
        ),
    ] = None,
    groups: Annotated[
        list[str] | None,
        typer.Option(
            "--group",
            "-g",
            metavar="NAME",
            help="The consumer group; may be repeated. [default: those of the App, else default]",
            show_default=False,
        ),
    ] = None,
    streams: Annotated[
        list[str] | None,
        typer.Option(
            "--stream",
            "-s",
            metavar="NAME",
            help="The stream; may be repeated. [default: those of the App, else jobs]",
            show_default=False,
        ),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            "--concurrency",
            "-c",
            metavar="N",
            min=1,
            help="How many jobs of a group run at once. [default: 16; with --exec one a core]",
        ),
    ] = None,
    retries: Annotated[
        int | None,
        typer.Option(
            "--retries",
            metavar="N",
            min=0,
            help="Tries after a first failure; not with an App, which says so itself. [default: 3]",
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            help="How long one try may take; not with an App. [default: no limit]",
        ),
    ] = None,
    lease: Annotated[
        float,
        typer.Option(
            "--lease",
            metavar="SECONDS",
            help="Without a heartbeat for so long, another worker takes a job over.",
        ),
    ] = 30.0,
    grace: Annotated[
        float,
        typer.Option(
            "--grace", metavar="SECONDS", help="Time for running jobs when the worker stops."
        ),
    ] = 30.0,
    result_ttl: Annotated[
        float,
        typer.Option(
            "--result-ttl",
            metavar="SECONDS",
            help="How long records of finished jobs are kept; 0 keeps none.",
        ),
    ] = 300.0,
    start: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="ID",
            help="Where a new group starts: 0 for all entries, $ for new ones, or an entry ID.",
        ),
    ] = "0",
    burst: Annotated[
        bool,
        typer.Option("--burst", help="Stop when nothing is queued, retrying or pending any more."),
    ] = False,
    max_jobs: Annotated[
        int | None,
        typer.Option("--max-jobs", metavar="N", min=1, help="Stop after so many deliveries."),
    ] = None,
    processes: Annotated[
        int,
        typer.Option(
            "--processes",
            "-p",
            metavar="N",
            min=1,
            help="How many processes do this, each with its own --concurrency; "
            "one that crashes is started again.",
        ),
    ] = 1,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            "--metrics-port",
            metavar="PORT",
            min=0,
            max=65535,
            help="Where Prometheus reads metrics; 0 for none. "
            "[default: 8000, or the next port that is free]",
        ),
    ] = None,
    metrics_host: Annotated[
        str, typer.Option("--metrics-host", metavar="ADDRESS", help="The address for that.")
    ] = "127.0.0.1",
    log_level: Annotated[
        LogLevel, typer.Option("--log-level", help="What to log, to standard error.")
    ] = LogLevel.INFO,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Log only warnings and errors.")
    ] = False,
    url: Url = None,
) -> None:
    """Process jobs until Ctrl-C.

    With an App, its handlers process them. With --exec, a program does: it gets the job
    as a JSON object on standard input and fields of its data as arguments, which no
    shell reads; a value that begins with - is only taken after a -- in the command. Exit
    code 0 is success, 75 asks for another try, 65 gives the job up, and any other is a
    failure, whose reason is the end of standard error. With neither, each job is only
    printed.

    At Ctrl-C or SIGTERM, running jobs are finished and the others given back; a second
    one leaves at once.
    """
    if app is not None and command is not None:
        raise ConfigError("give --app or --exec, not both")
    if timeout is not None and not 0 < timeout < float("inf"):
        raise ConfigError(f"--timeout {timeout:g}: give seconds, more than zero")
    if processes > 1 and max_jobs is not None:
        raise ConfigError("--max-jobs is for one process: leave out --processes")
    place = None
    if processes > 1:
        from streamq.cli.processes import find_place

        place = find_place()
    set_up_logging(LogLevel.WARNING if quiet else log_level, place.number if place else None)

    from streamq.cli.printing import Output, printing_handler
    from streamq.exec import exec_handler
    from streamq.worker import Settings

    output = Output()
    found = find_app(app) if command is None else None
    handler: Handler | None = None
    tries = 3 if retries is None else retries
    if command is not None:
        handler = exec_handler(command, retries=tries, timeout=timeout, output=output.relay)
    elif found is None:
        handler = printing_handler(output, retries=tries, timeout=timeout)
        grace = 0  # a job that cannot be printed any more has nothing to wait for
    elif retries is not None or timeout is not None:
        option = "retries" if retries is not None else "timeout"
        raise ConfigError(f"--{option} is not for an App: write @app.handler(..., {option}=…)")
    if concurrency is None:
        concurrency = CONCURRENCY if command is None else os.cpu_count() or 1
    plan = Plan(
        url=url,
        groups=groups or [],
        streams=streams or [],
        app=found,
        handler=handler,
        prints=found is None and command is None,
        output=output,
        settings=Settings(
            concurrency=concurrency, lease=lease, result_ttl=result_ttl, grace=grace, start=start
        ),
        burst=burst,
        max_jobs=max_jobs,
        processes=processes,
        metrics_port=metrics_port,
        metrics_host=metrics_host,
    )
    if place is not None:
        run(lambda: _work_in(place, plan))
    elif processes > 1:
        raise typer.Exit(run(lambda: _supervise(plan)))
    else:
        run(lambda: _work(plan))
    if output.broken:
        silence_broken_pipe()
        raise typer.Exit(ExitCode.BROKEN_PIPE)


@dataclass(frozen=True)
class Plan:
    """What to consume, and how."""

    url: str | None
    groups: Sequence[str]
    streams: Sequence[str]
    app: App | None
    handler: Handler | None
    prints: bool
    output: Output
    settings: Settings
    burst: bool
    max_jobs: int | None
    processes: int
    metrics_port: int | None
    metrics_host: str


async def _work(plan: Plan) -> None:
    from streamq.cli.tally import Tally
    from streamq.exec import end_programs
    from streamq.log import LogObserver

    async with _server(plan) as server:
        subscriptions = _subscriptions(plan)
        for warning in (await server.info()).warnings:
            _log.warning("%s", warning)
        tally = Tally()
        observers: list[Observer] = [LogObserver(), tally, end_programs]
        metrics = _metrics(plan, server, subscriptions)
        if metrics is not None:
            observers.append(metrics)
        try:
            worker = _worker(plan, server, subscriptions, observers)
            plan.output.on_broken = partial(_nobody_reads, worker)
            await _prepare(worker)
            _announce(plan, server, subscriptions, metrics)
            await worker.run(signals=True)
        finally:
            if metrics is not None:
                metrics.close()
    _log.info("%s", tally)
    _leave_soon()


async def _supervise(plan: Plan) -> int:
    """Let several processes work; return the exit code."""
    from streamq.cli.processes import Processes
    from streamq.log import LogObserver

    async with _server(plan) as server:
        # What cannot work is said here and once, not by every process.
        subscriptions = _subscriptions(plan)
        for warning in (await server.info()).warnings:
            _log.warning("%s", warning)
        await _prepare(_worker(plan, server, subscriptions, [LogObserver()]))
        processes = Processes(plan.processes, server, subscriptions, burst=plan.burst)
        try:
            _serve(plan, processes.metrics)
            _announce(plan, server, subscriptions, processes.metrics)
            code = await processes.run()
        finally:
            processes.close()
    if code == ExitCode.OK:
        _log.info("%s", processes.tally)
    return code


async def _work_in(place: Place, plan: Plan) -> None:
    """Work as one of several processes."""
    from streamq.exec import end_programs
    from streamq.log import LogObserver

    async with _server(plan) as server:
        subscriptions = _subscriptions(plan)
        observers: list[Observer] = [
            LogObserver(), place.series(subscriptions), end_programs,
        ]  # fmt: skip
        worker = _worker(plan, server, subscriptions, observers)
        plan.output.on_broken = partial(_nobody_reads, worker)
        await place.run(worker)
    _leave_soon()


@asynccontextmanager
async def _server(plan: Plan) -> AsyncIterator[Server]:
    if plan.app is None:
        async with connect(plan.url) as server:
            yield server
    else:
        plan.app.url = plan.url or plan.app.url
        start_embedded(plan.app.url)
        async with plan.app:
            yield plan.app.server


def _subscriptions(plan: Plan) -> list[Subscription]:
    from streamq.worker import Handlers, Subscription

    if plan.app is not None:
        return plan.app.subscriptions(plan.groups, plan.streams)
    assert plan.handler is not None
    handlers = Handlers([plan.handler])
    return [
        Subscription(stream, group, handlers)
        for stream in dict.fromkeys(plan.streams or [DEFAULT_STREAM])
        for group in dict.fromkeys(plan.groups or [DEFAULT_GROUP])
    ]


def _worker(
    plan: Plan,
    server: Server,
    subscriptions: Sequence[Subscription],
    observers: Sequence[Observer],
) -> Worker:
    from streamq.worker import Worker

    if plan.app is not None:
        return plan.app.worker(
            groups=plan.groups, streams=plan.streams, settings=plan.settings,
            observers=observers, burst=plan.burst, max_jobs=plan.max_jobs,
        )  # fmt: skip
    return Worker(
        server, subscriptions, settings=plan.settings,
        observers=observers, burst=plan.burst, max_jobs=plan.max_jobs,
    )  # fmt: skip


async def _prepare(worker: Worker) -> None:
    """Create the groups now, so that what cannot work is said before "Consuming"."""
    for consumer in worker.consumers:
        try:
            await consumer.prepare()
        finally:
            await consumer.close()


def _metrics(plan: Plan, server: Server, subscriptions: Sequence[Subscription]) -> Metrics | None:
    if plan.metrics_port == 0:
        return None
    from streamq.metrics import Metrics

    metrics = Metrics(server, subscriptions)
    _serve(plan, metrics)
    return metrics


def _serve(plan: Plan, metrics: Metrics) -> None:
    from streamq.metrics import PORT

    port = plan.metrics_port
    if port != 0:
        metrics.serve(plan.metrics_host, PORT if port is None else port, next_free=port is None)


def _announce(
    plan: Plan, server: Server, subscriptions: Sequence[Subscription], metrics: Metrics | None
) -> None:
    what = ", ".join(f"{printable(s.stream)} as {s.group}" for s in subscriptions)
    _log.info(
        "Consuming %s from %s, %d at once%s%s",
        what,
        "the embedded server" if server.embedded else server.where,
        plan.settings.concurrency,
        f" in each of {plan.processes} processes" if plan.processes > 1 else "",
        f"; metrics: {metrics.url}" if metrics is not None and metrics.url else "",
    )
    if plan.prints:
        _log.info("No --app and no --exec: the built-in handler only prints each job")


def _nobody_reads(worker: Worker) -> None:
    logging.disable()  # as quiet as any program in a pipe
    worker.stop()


def set_up_logging(level: LogLevel, process: int | None = None) -> None:
    """Log to standard error, unless the App has set up logging itself.

    Args:
        process: which of several processes this is, for every line to say.
    """
    logging.raiseExceptions = False  # a log that nobody reads any more is no reason to fail
    root = logging.getLogger()
    if not root.handlers:
        time_format = "%H:%M:%S" if is_terminal(sys.stderr) else "%Y-%m-%dT%H:%M:%S%z"
        output = logging.StreamHandler(sys.stderr)
        who = "" if process is None else f"[{process}] "
        output.setFormatter(
            logging.Formatter(f"%(asctime)s %(levelname)-7s {who}%(message)s", time_format)
        )
        root.addHandler(output)
        root.setLevel(max(getattr(logging, level.name), logging.INFO))
    _log.setLevel(level.name)


def _leave_soon() -> None:
    """Leave the process even if a handler still runs in a thread, which cannot be stopped."""

    def leave() -> None:
        note("streamq: a handler still runs in a thread: leaving without it")
        sys.stdout.flush()
        os._exit(ExitCode.OK)

    timer = threading.Timer(LEAVE_AFTER, leave)
    timer.daemon = True
    timer.start()
