"""The lines of a file, or of standard input, as jobs."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import TYPE_CHECKING

from streamq.cli.exits import CommandError, ExitCode
from streamq.cli.produce.jobs import from_json
from streamq.cli.produce.lines import Line, LineReader
from streamq.cli.produce.report import Report
from streamq.cli.produce.writing import Target, stopping_in_good_order, write
from streamq.errors import ConfigError, StreamqError
from streamq.text import printable

if TYPE_CHECKING:
    from streamq.produce.many import Pair

BOM = b"\xef\xbb\xbf"


async def write_lines(
    target: Target, file: str | None, type: str, skip_bad: bool, report: Report
) -> None:
    """Write the jobs in the lines of a file, or of standard input.

    Args:
        file: its path; ``-`` for standard input, ``None`` if nothing was said of it.
        type: of jobs that name none.

    Raises:
        ConfigError: the file cannot be read, or standard input has nothing to say.
        CommandError: a line is no job, or jobs could not be written.
    """
    explicit = file is not None
    name, fd = ("standard input", 0) if file in (None, "-") else (printable(file), _open(file))
    report.many = True
    try:
        # JSON may be written with blanks and escapes: the data itself is checked later.
        lines = LineReader(fd, longest=8 * target.max_payload + 1024)
        async with target.producer() as producer, stopping_in_good_order(report, lines.stop):
            async for batch in lines.batches():
                jobs, numbers, bad = _parse(batch, name, type, target, skip_bad, report)
                await write(producer, target, jobs, report, numbers)
                if bad is not None:
                    raise CommandError(f"{bad}; {report.so_far()}", ExitCode.USAGE)
                report.progress(lines.read, lines.size)
    finally:
        if fd != 0:
            os.close(fd)
    if not explicit and lines.read == 0 and report.stopped is None:
        raise ConfigError("standard input is empty; see streamq produce --help")


def _parse(
    batch: Sequence[Line], name: str, type: str, target: Target, skip_bad: bool, report: Report
) -> tuple[list[Pair], list[int], str | None]:
    """The jobs of a batch and their lines, up to the first bad line unless these are skipped."""
    jobs: list[Pair] = []
    numbers: list[int] = []
    for number, text in batch:
        try:
            if text is None:
                raise ConfigError(
                    f"the line is too long for a job of {target.max_payload:,} bytes "
                    "(--max-payload)"
                )
            job = from_json(text.removeprefix(BOM) if number == 1 else text, type)
            target.check(job)
        except StreamqError as error:
            bad = f"{name}, line {number}: {error}"
            if not skip_bad:
                return jobs, numbers, bad
            report.skip(bad)
        else:
            jobs.append(job)
            numbers.append(number)
    return jobs, numbers, None


def _open(path: str) -> int:
    try:
        fd = os.open(path, os.O_RDONLY)
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            os.close(fd)
            raise IsADirectoryError(None, "it is a directory")
    except OSError as error:
        raise ConfigError(f"cannot read {printable(path)}: {error.strerror}") from None
    return fd
