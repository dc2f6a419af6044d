"""Jobs on their way to the stream: copies of one, or the lines of a file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from streamq.cli.connection import connect
from streamq.cli.exits import CommandError, ExitCode, exit_code
from streamq.cli.produce.jobs import from_json
from streamq.cli.produce.lines import Line, LineReader
from streamq.cli.produce.report import Report
from streamq.cli.signals import interruptible
from streamq.errors import (
    ConfigError,
    NotReplicated,
    OutcomeUnknown,
    PayloadTooLarge,
    ServerRefused,
    StreamqError,
)
from streamq.produce.new_job import NewJob
from streamq.produce.producer import Producer
from streamq.text import printable
from streamq.wire.entry import check_type, encode_data

if TYPE_CHECKING:
    from streamq.produce.many import Pair
    from streamq.produce.replication import Replication

BATCH = 500
"""Copies written at once."""

BOM = b"\xef\xbb\xbf"

WAITING = "Waiting for the server; Ctrl-C leaves at once"


class Terms(NamedTuple):
    """What may be asked for one job; times are in seconds."""

    key: str | None = None
    delay: float | None = None
    expires: float | None = None


def _check(job: Pair, max_payload: int) -> None:
    check_type(job[0])
    try:
        encode_data(job[1], max_payload)
    except PayloadTooLarge as error:
        raise PayloadTooLarge(f"{error} (--max-payload)") from None


async def write_copies(
    url: str | None, stream: str, job: Pair, count: int, max_payload: int,
    replication: Replication | None, terms: Terms, report: Report,
) -> None:  # fmt: skip
    """Write one job, or several copies of it.

    Raises:
        StreamqError: it is no job, or could not be written.
    """
    report.many = count > 1
    _check(job, max_payload)
    async with connect(url) as server:
        producer = Producer(server, max_payload, replication)
        if terms != Terms():
            try:
                enqueued = await producer.produce(
                    stream,
                    NewJob(*job, unique=terms.key, delay=terms.delay, expires=terms.expires),
                )
            except NotReplicated as error:
                report.wrote(error.job_ids, [job])
                raise
            report.wrote([enqueued.id], [job])
            return
        with _interruptible(report):
            while report.written < count and report.interrupted is None:
                await _write(producer, [job] * min(BATCH, count - report.written), report)
                report.progress(report.written, count)


async def write_lines(
    url: str | None, stream: str, file: str | None, type: str, max_payload: int,
    replication: Replication | None, skip_bad: bool, report: Report,
) -> None:  # fmt: skip
    """Write the jobs in the lines of a file, or of standard input.

    Args:
        file: its path; ``-`` for standard input, ``None`` if nothing was said of it.

    Raises:
        ConfigError: the file cannot be read, or standard input has nothing to say.
        CommandError: a line is no job, or jobs could not be written.
    """
    explicit = file is not None
    name, fd = ("standard input", 0) if file in (None, "-") else (printable(file), _open(file))
    report.many = True
    try:
        # JSON may be written with blanks and escapes: the data itself is checked later.
        lines = LineReader(fd, longest=8 * max_payload + 1024)
        async with connect(url) as server:
            producer = Producer(server, max_payload, replication)
            with _interruptible(report, lines):
                async for batch in lines.batches():
                    jobs, numbers, bad = _parse(batch, name, type, max_payload, skip_bad, report)
                    await _write(producer, jobs, report, numbers)
                    if bad is not None:
                        raise CommandError(f"{bad}; {report.so_far()}", ExitCode.USAGE)
                    report.progress(lines.read, lines.size)
    finally:
        if fd != 0:
            os.close(fd)
    if not explicit and lines.read == 0 and report.interrupted is None:
        raise ConfigError("standard input is empty; see streamq produce --help")


def _parse(
    batch: Sequence[Line], name: str, type: str,
    max_payload: int, skip_bad: bool, report: Report,
) -> tuple[list[Pair], list[int], str | None]:  # fmt: skip
    """The jobs of a batch and their lines, up to the first bad line unless these are skipped."""
    jobs: list[Pair] = []
    numbers: list[int] = []
    for number, text in batch:
        try:
            if text is None:
                raise ConfigError(
                    f"the line is too long for a job of {max_payload:,} bytes (--max-payload)"
                )
            job = from_json(text.removeprefix(BOM) if number == 1 else text, type)
            _check(job, max_payload)
        except StreamqError as error:
            bad = f"{name}, line {number}: {error}"
            if not skip_bad:
                return jobs, numbers, bad
            report.skip(bad)
        else:
            jobs.append(job)
            numbers.append(number)
    return jobs, numbers, None


async def _write(
    producer: Producer, jobs: Sequence[Pair], report: Report, lines: Sequence[int] = ()
) -> None:
    done = 0

    def wrote(ids: Sequence[str]) -> None:
        part = slice(done, done + len(ids))
        report.wrote(ids, jobs[part], lines[part])

    try:
        async for written in producer.stream_jobs(report.stream, jobs):
            wrote([job.id for job in written])
            done += len(written)
    except StreamqError as error:
        if isinstance(error, NotReplicated):
            wrote(error.job_ids)
        if not report.many:
            raise
        # Of a chunk whose replies did not all come, or not all well, some may be written.
        unsure = isinstance(error, OutcomeUnknown | ServerRefused) and len(jobs) > 1
        raise CommandError(f"{error}; {report.so_far(unsure=unsure)}", exit_code(error)) from error


@contextmanager
def _interruptible(report: Report, lines: LineReader | None = None) -> Iterator[None]:
    """At a signal, finish the chunk on its way, so that the number of jobs written is exact."""

    def stop(code: ExitCode) -> None:
        report.interrupted = code
        if lines is not None:
            lines.stop()

    try:
        with interruptible(stop, WAITING):
            yield
    finally:
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
