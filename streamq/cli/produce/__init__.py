"""``streamq produce``: write jobs, one from the arguments or many from a file.

The command and its options are here. ``jobs`` makes jobs out of what was given, ``lines``
reads files and pipes, ``writing`` brings the jobs to the stream, and ``report`` tells of it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Annotated

import typer

from streamq.cli.connection import run
from streamq.cli.exits import ExitCode
from streamq.cli.options import (
    DEFAULT_STREAM,
    Stream,
    Url,
    at_least,
    examples,
    seconds,
    seconds_within,
)
from streamq.cli.output import complain, note
from streamq.cli.produce.jobs import from_fields, from_json
from streamq.cli.produce.report import Report
from streamq.errors import ConfigError

if TYPE_CHECKING:
    from streamq.produce.many import Pair

MIB = 1024 * 1024
REPLICA_TIMEOUTS = 0.001, 3600.0
"""The limits that the library sets, in bytes and in seconds; importing them takes long."""

HINT = """\
Give the data of a job as key=value, for example:

  streamq produce file=image_1.png action=process_image
  streamq produce --type resize file=image_1.png width:=256

or many jobs, one JSON object a line:  streamq produce --file jobs.ndjson
All of it:  streamq produce --help"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "produce",
        epilog=examples(
            "streamq produce file=image_1.png action=process_image",
            "streamq produce --type resize file=image_1.png width:=256 tags:='[\"a\"]'",
            'streamq produce --json \'{"type": "resize", "data": {"file": "image_1.png"}}\'',
            "streamq produce --type remind user:=7 --delay 2h --key remind-7",
            "streamq produce --file jobs.ndjson --skip-bad",
            "tail -f events.ndjson | streamq produce -",
        ),
    )(produce)


def produce(
    fields: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE",
            help="The job's data: KEY=VALUE for text, KEY:=JSON for any other value; type=TYPE "
            "is like --type. Or - to read lines of JSON from standard input.",
            show_default=False,
        ),
    ] = None,
    type: Annotated[
        str,
        typer.Option(
            "--type", "-t", metavar="TYPE", help="The job's type; in a file, of lines without one."
        ),
    ] = "",
    json: Annotated[
        str | None, typer.Option("--json", metavar="JSON", help="One job, as in a line of a file.")
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(
            "--file", "-f", metavar="PATH", help="Lines of JSON, a job each; - for stdin."
        ),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Report bad lines and go on with the next.")
    ] = False,
    count: Annotated[
        int,
        typer.Option(
            "--count", "-n", metavar="N", parser=at_least(1), help="Write so many copies."
        ),
    ] = 1,
    max_payload: Annotated[
        int,
        typer.Option(
            "--max-payload",
            metavar="BYTES",
            parser=at_least(1),
            help="The largest data of one job. [default: 1 MiB]",
            show_default=False,
        ),
    ] = MIB,
    key: Annotated[
        str | None,
        typer.Option(
            "--key", metavar="KEY", help="For a day, the same key writes the same job only once."
        ),
    ] = None,
    delay: Annotated[
        float | None,
        typer.Option(
            "--delay", metavar="TIME", parser=seconds, help="Run it so much later, not at once."
        ),
    ] = None,
    expires: Annotated[
        float | None,
        typer.Option(
            "--expires", metavar="TIME", parser=seconds, help="Run it within so long, or never."
        ),
    ] = None,
    replicas: Annotated[
        int,
        typer.Option(
            "--replicas",
            metavar="N",
            parser=at_least(0),
            help="Wait until so many replicas have it; exit code 1 if they do not in time.",
            show_default=False,
        ),
    ] = 0,
    replica_timeout: Annotated[
        float,
        typer.Option(
            "--replica-timeout",
            metavar="TIME",
            parser=seconds_within(*REPLICA_TIMEOUTS, "1ms to 1h"),
            help="How long to wait for them. [default: 1s]",
            show_default=False,
        ),
    ] = 1.0,
    json_output: Annotated[
        bool, typer.Option("--json-output", help="Print a JSON object for each job.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the IDs.")] = False,
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """Write jobs to a stream.

    In a file, each line is a JSON object. If it has the key "data", that is the job's
    data (an object) and "type" its type. Otherwise the object itself is the data, and if
    it has the key "type", this is taken out of it and is the job's type. The same goes
    for --json. Blank lines are skipped. With no job and no file given, what is piped in
    is read, as with -.
    """
    fields = fields or []
    if fields == ["-"]:
        fields, file = [], "-" if file is None else file
    if sum((bool(fields), json is not None, file is not None)) > 1:
        raise ConfigError("give the job as KEY=VALUE, with --json or with --file: one of them")

    from streamq.cli.produce.writing import Terms, write_copies, write_lines
    from streamq.produce.replication import Replication

    replication = Replication(replicas, replica_timeout) if replicas else None
    terms = Terms(key, delay, expires)
    for_one = count > 1 or terms != Terms()
    job = None
    if fields or json is not None:
        job = from_fields(fields, type) if json is None else _from_option(json, type)
    elif type and file is None and (for_one or not _is_fed()):
        job = (type, {})
    report = Report(stream, json_output=json_output, quiet=quiet)
    if job is not None:
        if count > 1 and terms != Terms():
            raise ConfigError("--key, --delay and --expires are for one job, not for many")
        _run(write_copies(url, stream, job, count, max_payload, replication, terms, report), report)
    elif file is not None or _is_fed():
        if for_one:
            raise ConfigError(
                "--count, --key, --delay and --expires are for one job, not for a file"
            )
        _run(
            write_lines(url, stream, file, type, max_payload, replication, skip_bad, report), report
        )
    else:
        note(HINT)
        raise typer.Exit(ExitCode.USAGE)
    report.summary()
    if report.interrupted is not None:
        raise typer.Exit(report.interrupted)


def _from_option(json: str, type: str) -> Pair:
    try:
        return from_json(json.encode("utf-8", "surrogateescape"), type)
    except ConfigError as error:
        raise ConfigError(f"--json: {error}") from None


def _run(writing: Coroutine[None, None, None], report: Report) -> None:
    try:
        run(lambda: writing)
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
