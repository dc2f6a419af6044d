"""``streamq produce``: write jobs, one from the arguments or many from a file."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from streamq.cli.common import (
    DEFAULT_STREAM,
    CommandError,
    ExitCode,
    Stream,
    Url,
    complain,
    connect,
    examples,
    exit_code,
    note,
    run,
    seconds,
)
from streamq.cli.jobs import from_fields, from_json
from streamq.cli.report import Report
from streamq.errors import ConfigError, OutcomeUnknown, ServerRefused, StreamqError
from streamq.text import printable

if TYPE_CHECKING:
    from streamq.cli.lines import Line, LineReader
    from streamq.producer import NewJob, Producer

BOM = b"\xef\xbb\xbf"
MIB = 1024 * 1024

BATCH = 500
"""Copies written at once."""

HINT_AFTER = 1.0
"""Seconds after Ctrl-C that a silent server is told of."""

HINT = """\
Give the data of a job as key=value, for example:

  streamq produce file=image_1.png action=process_image
  streamq produce --type resize file=image_1.png width:=256

or many jobs, one JSON object a line:  streamq produce --file jobs.ndjson
All of it:  streamq produce --help"""


class Terms(NamedTuple):
    """What may be asked for one job; times are in seconds."""

    key: str | None = None
    delay: float | None = None
    expires: float | None = None


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
        str | None, typer.Option("--json", metavar="JSON", help="One job, as a line of a file.")
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
        int, typer.Option("--count", "-n", metavar="N", min=1, help="Write so many copies.")
    ] = 1,
    max_payload: Annotated[
        int,
        typer.Option("--max-payload", metavar="BYTES", min=1, help="The largest data of one job."),
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
            "--delay", metavar="TIME", parser=seconds, help="When it is to be run: in 30, 5m, 2h."
        ),
    ] = None,
    expires: Annotated[
        float | None,
        typer.Option(
            "--expires", metavar="TIME", parser=seconds, help="Run it within 30, 5m, 2h or never."
        ),
    ] = None,
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
    for --json. Blank lines are skipped.
    """
    fields = fields or []
    if fields == ["-"]:
        fields, file = [], "-" if file is None else file
    if sum((bool(fields), json is not None, file is not None)) > 1:
        raise ConfigError("give the job as KEY=VALUE, with --json or with --file: one of them")
    report = Report(stream, json_output=json_output, quiet=quiet)
    terms = Terms(key, delay, expires)
    if terms != Terms() and (count > 1 or not (fields or json is not None or type)):
        raise ConfigError("--key, --delay and --expires are for one job, not for many")
    if fields or json is not None:
        job = from_fields(fields, type) if json is None else _from_option(json, type)
        report.many = count > 1
        _run(_write_copies(url, stream, job, count, max_payload, terms, report), report)
    elif file is not None or _is_fed():
        if count > 1:
            raise ConfigError("--count is for one job, not for a file")
        _run(_write_lines(url, stream, file, type, max_payload, skip_bad, report), report)
    elif type:
        report.many = count > 1
        _run(_write_copies(url, stream, (type, {}), count, max_payload, terms, report), report)
    else:
        note(HINT)
        raise typer.Exit(ExitCode.USAGE)
    report.summary()
    if report.interrupted:
        raise typer.Exit(ExitCode.INTERRUPTED)


def _from_option(json: str, type: str) -> NewJob:
    try:
        return from_json(json.encode("utf-8", "surrogateescape"), type)
    except ConfigError as error:
        raise ConfigError(f"--json: {error}") from None


def _run(writing: Coroutine[None, None, None], report: Report) -> None:
    try:
        run(lambda: writing)
    except KeyboardInterrupt:
        complain(f"interrupted: {report.so_far()}, perhaps some more")
        raise


# -- writing ------------------------------------------------------------------


def _check(job: NewJob, max_payload: int) -> None:
    from streamq.job import check_type, encode_data

    check_type(job[0])
    encode_data(job[1], max_payload)


async def _write_copies(
    url: str | None, stream: str, job: NewJob, count: int, max_payload: int, terms: Terms,
    report: Report,
) -> None:  # fmt: skip
    from streamq.producer import Producer

    _check(job, max_payload)
    async with connect(url) as server:
        producer = Producer(server, max_payload)
        if terms != Terms():
            id = await producer.produce(
                stream, *job, key=terms.key, delay=terms.delay, expires=terms.expires
            )
            report.wrote([id], [job])
            return
        async with _interruptible(report):
            while report.written < count and not report.interrupted:
                await _write(producer, [job] * min(BATCH, count - report.written), report)
                report.progress(report.written, count)


async def _write_lines(
    url: str | None, stream: str, file: str | None, type: str,
    max_payload: int, skip_bad: bool, report: Report,
) -> None:  # fmt: skip
    from streamq.cli.lines import LineReader
    from streamq.producer import Producer

    explicit = file is not None
    name, fd = ("standard input", 0) if file in (None, "-") else (printable(file), _open(file))
    report.many = True
    try:
        # JSON may be written with blanks and escapes: the data itself is checked later.
        lines = LineReader(fd, longest=8 * max_payload + 1024)
        async with connect(url) as server, _interruptible(report, lines):
            producer = Producer(server, max_payload)
            async for batch in lines.batches():
                jobs, bad = _parse(batch, name, type, max_payload, skip_bad, report)
                await _write(producer, jobs, report)
                if bad is not None:
                    raise CommandError(f"{bad}; {report.so_far()}", ExitCode.USAGE)
                report.progress(lines.read, lines.size)
    finally:
        if fd != 0:
            os.close(fd)
    if not explicit and lines.read == 0 and not report.interrupted:
        raise ConfigError("standard input is empty; see streamq produce --help")


def _parse(
    batch: Sequence[Line], name: str, type: str,
    max_payload: int, skip_bad: bool, report: Report,
) -> tuple[list[NewJob], str | None]:  # fmt: skip
    """The jobs of a batch, up to the first bad line unless these are skipped."""
    jobs: list[NewJob] = []
    for number, text in batch:
        try:
            if text is None:
                raise ConfigError(f"the line is too long for a job of {max_payload:,} bytes")
            job = from_json(text.removeprefix(BOM) if number == 1 else text, type)
            _check(job, max_payload)
        except StreamqError as error:
            bad = f"{name}, line {number}: {error}"
            if not skip_bad:
                return jobs, bad
            report.skip(bad)
        else:
            jobs.append(job)
    return jobs, None


async def _write(producer: Producer, jobs: Sequence[NewJob], report: Report) -> None:
    done = 0
    try:
        async for ids in producer.stream_jobs(report.stream, jobs):
            report.wrote(ids, jobs[done : done + len(ids)])
            done += len(ids)
    except StreamqError as error:
        if not report.many:
            raise
        # Of a chunk whose replies did not all come, or not all well, some may be written.
        unsure = isinstance(error, OutcomeUnknown | ServerRefused) and len(jobs) > 1
        raise CommandError(
            f"{error}; {report.so_far()}{', perhaps some more' if unsure else ''}",
            exit_code(error),
        ) from error


@asynccontextmanager
async def _interruptible(report: Report, lines: LineReader | None = None) -> AsyncIterator[None]:
    """At Ctrl-C, finish the chunk on its way, so that the number of jobs written is exact."""
    import asyncio

    loop = asyncio.get_running_loop()
    hint: asyncio.TimerHandle | None = None

    def stop() -> None:
        nonlocal hint
        loop.remove_signal_handler(signal.SIGINT)  # a second one ends it at once
        report.interrupted = True
        hint = loop.call_later(HINT_AFTER, note, "Waiting for the server; Ctrl-C leaves at once")
        if lines is not None:
            lines.stop()

    loop.add_signal_handler(signal.SIGINT, stop)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        if hint is not None:
            hint.cancel()
        report.close()


def _open(path: str) -> int:
    try:
        fd = os.open(path, os.O_RDONLY)
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            os.close(fd)
            raise IsADirectoryError(None, "it is a directory")
    except OSError as error:
        raise ConfigError(f"cannot read {printable(path)}: {error.strerror}") from None
    return fd


def _is_fed() -> bool:
    """Whether standard input is a file or comes from another program."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
