"""What a person may say to ``streamq consume``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from streamq.cli.command import Option
from streamq.cli.consume.logs import LogFormat, LogLevel
from streamq.cli.options import (
    Url,
    among,
    as_typed,
    at_least,
    from_server,
    one_of,
    port,
    seconds,
    seconds_within,
    starting_place,
)
from streamq.errors import ConfigError
from streamq.limits import (
    GRACE,
    HISTORY,
    LEASE,
    MIN_LEASE,
    MIN_STUCK_AFTER,
    RESULT_TTL,
    STUCK_AFTER,
)

HowToLog = Annotated[
    LogFormat | None,
    Option(
        "--log-format",
        metavar="FORMAT",
        parser=one_of(LogFormat),
        complete=among(LogFormat),
        help="How lines of the log look: text, json (an object a line), or auto: text at a "
        "terminal, else json. [default: STREAMQ_LOG_FORMAT, else auto]",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class ConsumeOptions:
    """The options of ``streamq consume``, a field each; its help tells what they are for.

    Raises:
        ConfigError: two of them contradict each other.
    """

    app: Annotated[
        str | None,
        Option(
            "--app",
            "-a",
            metavar="MODULE:NAME",
            help="The App whose handlers to run. [default: STREAMQ_APP, else app in "
            "[tool.streamq] of ./pyproject.toml]",
        ),
    ] = None
    command: Annotated[
        str | None,
        Option(
            "--exec",
            "-x",
            metavar="COMMAND",
            help="The program to run for each job: {file} is its field file, {@id} its ID.",
        ),
    ] = None
    groups: Annotated[
        list[str] | None,
        Option(
            "--group",
            "-g",
            metavar="NAME",
            help="The consumer group; may be repeated. [default: those of the App, else default]",
            show_default=False,
            complete=from_server("groups"),
        ),
    ] = None
    streams: Annotated[
        list[str] | None,
        Option(
            "--stream",
            "-s",
            metavar="NAME",
            help="The stream; may be repeated, with weights: urgent:9 and jobs:1 share the "
            "concurrency nine to one. [default: those of the App, else jobs]",
            show_default=False,
            complete=from_server("streams"),
        ),
    ] = None
    strict: Annotated[
        bool,
        Option(
            "--strict",
            help="Let the streams share the concurrency in the order given: a lower one only when "
            "the higher ones have nothing.",
        ),
    ] = False
    concurrency: Annotated[
        int | None,
        Option(
            "--concurrency",
            "-c",
            metavar="N",
            parser=at_least(1),
            help="How many jobs of a group run at once. [default: 16; with --exec one a core]",
        ),
    ] = None
    retries: Annotated[
        int | None,
        Option(
            "--retries",
            metavar="N",
            parser=at_least(0),
            help="Attempts after a first failure; not with an App, which says so itself. "
            "[default: 3]",
        ),
    ] = None
    timeout: Annotated[
        float | None,
        Option(
            "--timeout",
            metavar="TIME",
            parser=seconds,
            help="How long one attempt may take; not with an App. [default: no limit]",
        ),
    ] = None
    lease: Annotated[
        float,
        Option(
            "--lease",
            metavar="TIME",
            parser=seconds_within(MIN_LEASE, math.inf, "50ms or more"),
            help="Another worker takes a job over after this time without a heartbeat. "
            f"[default: {as_typed(LEASE)}]",
            show_default=False,
        ),
    ] = LEASE
    grace: Annotated[
        float,
        Option(
            "--grace",
            metavar="TIME",
            parser=seconds,
            help=f"Time for running jobs when the worker stops. [default: {as_typed(GRACE)}]",
            show_default=False,
        ),
    ] = GRACE
    result_ttl: Annotated[
        float,
        Option(
            "--result-ttl",
            metavar="TIME",
            parser=seconds,
            help="How long records of finished jobs are kept; 0 keeps none. "
            f"[default: {as_typed(RESULT_TTL)}]",
            show_default=False,
        ),
    ] = RESULT_TTL
    history: Annotated[
        int,
        Option(
            "--history",
            metavar="COUNT",
            help="How many attempts of a job that failed are kept with its record, the first and "
            "the last ones; 0 keeps none.",
        ),
    ] = HISTORY
    start: Annotated[
        str,
        Option(
            "--from",
            metavar="PLACE",
            parser=starting_place,
            help="Where a new group starts: 0 for all entries, $ for new ones, after an entry ID, "
            "or at a time as 2026-11-01T00:00Z.",
        ),
    ] = "0"
    burst: Annotated[
        bool,
        Option("--burst", help="Stop when nothing is left queued, retrying or pending."),
    ] = False
    max_jobs: Annotated[
        int | None,
        Option("--max-jobs", metavar="N", parser=at_least(1), help="Stop after N deliveries."),
    ] = None
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
    ] = 1
    metrics_port: Annotated[
        int | None,
        Option(
            "--metrics-port",
            metavar="PORT",
            parser=port,
            help="Where Prometheus reads metrics; 0 for none. "
            "[default: 8000, or the next port that is free]",
        ),
    ] = None
    metrics_host: Annotated[
        str, Option("--metrics-host", metavar="ADDRESS", help="Where metrics are served.")
    ] = "127.0.0.1"
    stuck_after: Annotated[
        float,
        Option(
            "--stuck-after",
            metavar="TIME",
            parser=seconds_within(
                MIN_STUCK_AFTER, math.inf, f"{as_typed(MIN_STUCK_AFTER)} or more"
            ),
            help="/healthz says so when an async handler has blocked its process for this long. "
            f"[default: {as_typed(STUCK_AFTER)}]",
            show_default=False,
        ),
    ] = STUCK_AFTER
    log_level: Annotated[
        LogLevel,
        Option(
            "--log-level",
            metavar="LEVEL",
            parser=one_of(LogLevel),
            complete=among(LogLevel),
            help="What to log, to standard error: debug, info, warning or error. [default: info]",
            show_default=False,
        ),
    ] = LogLevel.INFO
    log_format: HowToLog = None
    quiet: Annotated[bool, Option("--quiet", "-q", help="Log only warnings and errors.")] = False
    url: Url = None

    def __post_init__(self) -> None:
        if self.app is not None and self.command is not None:
            raise ConfigError("give --app or --exec, not both")
        if self.timeout is not None and self.timeout <= 0:
            raise ConfigError("--timeout 0: give more than zero, or leave it out for no limit")
        if self.processes > 1 and self.max_jobs is not None:
            raise ConfigError("--max-jobs is for one process: leave out --processes")
