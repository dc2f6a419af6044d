"""``streamq produce``: write jobs, one from the arguments or many from a file.

The command and its options are here. ``jobs`` makes jobs out of what was given, ``file`` and
``lines`` read files and pipes, ``writing`` brings the jobs to the stream, ``waiting`` waits for
the result of one, and ``report`` tells of it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Coroutine
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from streamq.cli.command import Argument, Exit, Family, Option
from streamq.cli.connection import run
from streamq.cli.exits import ExitCode
from streamq.cli.options import (
    Json,
    Stream,
    TheGroup,
    Url,
    among,
    as_typed,
    at_least,
    examples,
    files,
    moment,
    one_of,
    seconds,
    seconds_within,
)
from streamq.cli.output import complain, note
from streamq.cli.produce.jobs import from_data, from_fields
from streamq.cli.produce.report import Report
from streamq.errors import ConfigError
from streamq.limits import (
    DEFAULT_STREAM,
    FULL_TIMEOUT,
    MAX_REPLICA_TIMEOUT,
    MIN_REPLICA_TIMEOUT,
    REPLICA_TIMEOUT,
    UNIQUE_FOR,
)

if TYPE_CHECKING:
    from streamq.cli.produce.writing import Target
    from streamq.new_job import Options
    from streamq.produce.many import Pair

HINT = """\
Give the data of a job as key=value, for example:

  streamq produce file=image_1.png action=process_image
  streamq produce --type resize file=image_1.png width:=256

or many jobs, one JSON object a line:  streamq produce --file jobs.ndjson
All of it:  streamq produce --help"""


class OnFull(StrEnum):
    """What to do at a full stream."""

    ERROR = "error"
    WAIT = "wait"


class Until(StrEnum):
    """What ``--unique-until`` takes; see :class:`~streamq.NewJob`."""

    SETTLED = "settled"


class Conflict(StrEnum):
    """What ``--on-conflict`` takes."""

    KEEP = "keep"
    REPLACE = "replace"
    ERROR = "error"


def register(app: Family) -> None:
    """Add the command."""
    app.command(
        "produce",
        epilog=examples(
            "streamq produce file=image_1.png action=process_image",
            "streamq produce --type resize file=image_1.png width:=256 tags:='[\"a\"]'",
            'streamq produce --type resize --data \'{"file": "image_1.png"}\'',
            "streamq produce --type remind user:=7 --delay 2h --unique remind-7",
            "streamq produce --type resize file=a.png --wait --timeout 30s",
            "streamq produce --file jobs.ndjson --skip-bad",
            "tail -f events.ndjson | streamq produce -",
        ),
    )(produce)


def produce(
    fields: Annotated[
        list[str] | None,
        Argument(
            metavar="KEY=VALUE",
            help="The job's data: KEY=VALUE for text, KEY:=JSON for any other value; type=TYPE "
            "is like --type. Or - to read lines of JSON from standard input.",
        ),
    ] = None,
    type: Annotated[
        str,
        Option("--type", "-t", metavar="TYPE", help="The job's type; in a file, of lines without."),
    ] = "",
    data: Annotated[
        str | None, Option("--data", "-d", metavar="JSON", help="The job's data, a JSON object.")
    ] = None,
    file: Annotated[
        str | None,
        Option(
            "--file",
            "-f",
            metavar="PATH",
            help="Lines of JSON, a job each; - for stdin.",
            complete=files,
        ),
    ] = None,
    skip_bad: Annotated[
        bool, Option("--skip-bad", help="Report bad lines and go on with the next.")
    ] = False,
    count: Annotated[
        int, Option("--count", metavar="N", parser=at_least(1), help="Write this many copies.")
    ] = 1,
    key: Annotated[
        str | None, Option("--key", metavar="KEY", help="The order key: what belongs together.")
    ] = None,
    unique: Annotated[
        str | None,
        Option(
            "--unique", metavar="KEY", help="While it is remembered, the same key writes nothing."
        ),
    ] = None,
    unique_for: Annotated[
        float | None,
        Option(
            "--unique-for",
            metavar="TIME",
            parser=seconds,
            help=f"How long it is remembered. [default: {as_typed(UNIQUE_FOR)}]",
        ),
    ] = None,
    unique_until: Annotated[
        Until | None,
        Option(
            "--unique-until",
            metavar="settled",
            parser=one_of(Until),
            complete=among(Until),
            help="The key is free again when every group has settled the job, or it is gone.",
        ),
    ] = None,
    on_conflict: Annotated[
        Conflict | None,
        Option(
            "--on-conflict",
            metavar="WHAT",
            parser=one_of(Conflict),
            complete=among(Conflict),
            help="When the key is taken: keep that job, replace it while it is scheduled, or make "
            "it an error. [default: keep]",
        ),
    ] = None,
    delay: Annotated[
        float | None,
        Option("--delay", metavar="TIME", parser=seconds, help="Run it later, not at once."),
    ] = None,
    at: Annotated[
        datetime | None,
        Option("--at", metavar="TIME", parser=moment, help="Run it then: 2030-01-31T07:00+01:00."),
    ] = None,
    expires: Annotated[
        float | None,
        Option(
            "--expires", metavar="TIME", parser=seconds, help="Run it within that time, or never."
        ),
    ] = None,
    trace: Annotated[
        str | None,
        Option("--trace", metavar="TRACEPARENT", help="A W3C traceparent, for the handler."),
    ] = None,
    max_payload: Annotated[
        int | None,
        Option(
            "--max-payload",
            metavar="BYTES",
            parser=at_least(1),
            help="The largest data of one job. [default: 1 MiB, or 64 MiB with --offload]",
            show_default=False,
        ),
    ] = None,
    offload: Annotated[
        int | None,
        Option(
            "--offload",
            metavar="BYTES",
            parser=at_least(1),
            help="Keep larger data beside the stream, not in it.",
        ),
    ] = None,
    replicas: Annotated[
        int,
        Option(
            "--replicas",
            metavar="N",
            parser=at_least(0),
            help="Wait until N replicas have it; exit code 1 if they do not in time.",
            show_default=False,
        ),
    ] = 0,
    replica_timeout: Annotated[
        float,
        Option(
            "--replica-timeout",
            metavar="TIME",
            parser=seconds_within(MIN_REPLICA_TIMEOUT, MAX_REPLICA_TIMEOUT, "1ms to 1h"),
            help=f"How long to wait for them. [default: {as_typed(REPLICA_TIMEOUT)}]",
            show_default=False,
        ),
    ] = REPLICA_TIMEOUT,
    wait: Annotated[
        bool,
        Option(
            "--wait",
            help="Wait until a group has run the job, and print its result as JSON; exit code 1 "
            "if there is none.",
        ),
    ] = False,
    timeout: Annotated[
        float | None,
        Option(
            "--timeout",
            metavar="TIME",
            parser=seconds,
            help="Wait for no longer than that; then the exit code is 124.",
        ),
    ] = None,
    group: TheGroup = None,
    max_backlog: Annotated[
        int | None,
        Option(
            "--max-backlog",
            metavar="N",
            parser=at_least(1),
            help="How many jobs may wait in the stream before it is full.",
        ),
    ] = None,
    on_full: Annotated[
        OnFull,
        Option(
            "--on-full",
            metavar="WHAT",
            parser=one_of(OnFull),
            complete=among(OnFull),
            help="At a full stream: error (exit code 1) or wait.",
        ),
    ] = OnFull.ERROR,
    full_timeout: Annotated[
        float,
        Option(
            "--full-timeout",
            metavar="TIME",
            parser=seconds,
            help=f"How long to wait for room. [default: {as_typed(FULL_TIMEOUT)}]",
            show_default=False,
        ),
    ] = FULL_TIMEOUT,
    json: Json = False,
    quiet: Annotated[bool, Option("--quiet", "-q", help="Print only the IDs.")] = False,
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """Write jobs to a stream.

    In a file, each line is a JSON object. If it has the key "data", that is the job's
    data (an object) and "type" its type. Otherwise the object itself is the data, and if
    it has the key "type", this is taken out of it and is the job's type. Blank lines are
    skipped. With no job and no file given, what is piped in is read, as with -.
    """
    fields = fields or []
    if fields == ["-"]:
        fields, file = [], "-" if file is None else file
    if sum((bool(fields), data is not None, file is not None)) > 1:
        raise ConfigError("give the job as KEY=VALUE, with --data or with --file: one of them")
    options: Options = {
        "key": key, "unique": unique, "unique_for": unique_for, "delay": delay, "at": at,
        "expires": expires, "trace": trace,
    }  # fmt: skip
    if unique is None:
        rules = (unique_for, unique_until, on_conflict)
        names = ("--unique-for", "--unique-until", "--on-conflict")
        for name, rule in zip(names, rules, strict=True):
            if rule is not None:
                raise ConfigError(f"{name} is about the key of --unique: give that, too")
    if unique_until is not None:
        options["unique_until"] = "settled"
    if on_conflict is not None:
        options["on_conflict"] = on_conflict.value
    asked = any(value is not None for value in options.values())
    job: Pair | None = None
    if data is not None:
        job = from_data(data, type)
    elif fields or (type and file is None and (asked or wait or count > 1 or not _is_fed())):
        job = from_fields(fields, type)
    if unique is not None and (job is None or count > 1):
        raise ConfigError("--unique is for one job: of many with the same key, one is written")
    if job is None and count > 1:
        raise ConfigError("--count is for one job, not for a file")
    if job is None and file is None and not _is_fed():
        note(HINT)
        raise Exit(ExitCode.USAGE)
    if not wait and (timeout is not None or group is not None):
        raise ConfigError("--timeout and --group are for --wait")
    if wait and (job is None or count > 1):
        raise ConfigError("--wait is for one job, not for a file or for copies")
    if max_backlog is None and on_full is OnFull.WAIT:
        raise ConfigError("--on-full says what happens at --max-backlog: give that, too")
    report = Report(stream, json_output=json, quiet=quiet, waits=wait)

    def target() -> Target:
        from streamq.cli.produce.writing import Target
        from streamq.offload import check_offload, largest_payload
        from streamq.produce.backpressure import backpressure_of
        from streamq.produce.replication import Replication

        replication = Replication(replicas, replica_timeout) if replicas else None
        backpressure = backpressure_of(max_backlog, on_full.value, full_timeout)
        outside = check_offload(offload)
        largest = largest_payload(max_payload, outside)
        return Target(
            url, stream, largest, replication, options if asked else {}, outside, backpressure
        )

    if job is not None and wait:
        _write_and_wait(target, job, group, timeout, report)
    elif job is not None:
        _write_one(target, job, count, report)
    else:
        _write_file(target, file, type, skip_bad, report)
    report.summary()
    if report.stopped is not None:
        raise Exit(report.stopped)


def _write_one(target: Callable[[], Target], job: Pair, count: int, report: Report) -> None:
    from streamq.cli.produce.writing import write_copies

    _run(write_copies(target(), job, count, report), report)


def _write_and_wait(
    target: Callable[[], Target], job: Pair, group: str | None, timeout: float | None,
    report: Report,
) -> None:  # fmt: skip
    from streamq.cli.produce.waiting import write_and_wait

    _run(write_and_wait(target(), job, group, timeout, report), report)


def _write_file(
    target: Callable[[], Target], file: str | None, type: str, skip_bad: bool, report: Report
) -> None:
    from streamq.cli.produce.file import write_lines

    _run(write_lines(target(), file, type, skip_bad, report), report, fast=True)


def _run(writing: Coroutine[None, None, None], report: Report, *, fast: bool = False) -> None:
    try:
        run(lambda: writing, fast=fast)
    except KeyboardInterrupt:
        complain(f"interrupted: {report.so_far(unsure=True)}")
        raise


def _is_fed() -> bool:
    """Whether standard input is a file or comes from another program."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
