"""What ``streamq produce`` tells while it writes, and at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from streamq.cli.exits import ExitCode
from streamq.cli.output import complain, console, flush, is_terminal, note, say, say_json
from streamq.enqueued import Enqueued

if TYPE_CHECKING:
    from rich.progress import Progress

    from streamq.produce.many import Pair

SHOWN = 10
"""Jobs whose IDs are shown one by one; of more than that, the number says enough."""

PATIENCE = 0.5
"""Seconds after which a progress bar appears."""


class Report:
    """Tells what was written, in the way that was asked for.

    Args:
        waits: whether standard output is for the job's result alone.

    Attributes:
        many: whether more than one job is to be written.
        written: jobs written so far.
        line: of a file, the last whose job is written for certain.
        skipped: bad lines.
        json: whether JSON is wanted.
        quiet: whether only IDs are.
        stopped: the exit code of a command that a signal, or the end of whoever read its
            output, has stopped; ``None`` without that.
    """

    def __init__(self, stream: str, *, json_output: bool, quiet: bool, waits: bool = False) -> None:
        self.stream = stream
        self.many = False
        self.written = 0
        self.line: int | None = None
        self.skipped = 0
        self.stopped: ExitCode | None = None
        self.json = json_output
        self.quiet = quiet
        self._waits = waits
        self._started = time.monotonic()
        self._bar: Progress | None = None

    def wrote(
        self, written: Sequence[Enqueued], jobs: Sequence[Pair], lines: Sequence[int] = ()
    ) -> None:
        """These jobs have been written; of a file, from these lines."""
        before, self.written = self.written, self.written + len(written)
        if lines:
            self.line = lines[-1]
        try:
            self._tell(written, jobs, before)
            flush()
        except BrokenPipeError:
            self.stopped = ExitCode.BROKEN_PIPE

    def wrote_ids(
        self, ids: Sequence[str], jobs: Sequence[Pair], lines: Sequence[int] = ()
    ) -> None:
        """The same for jobs of which an error tells."""
        self.wrote([Enqueued(id) for id in ids], jobs, lines)

    def _tell(self, written: Sequence[Enqueued], jobs: Sequence[Pair], before: int) -> None:
        if self._waits:
            if not self.json and not self.quiet:
                note(_line(written[0]))
        elif self.json:
            for job, (type, _) in zip(written, jobs, strict=True):
                say_json(self.about(job, type))
        elif self.quiet:
            say("\n".join(job.id for job in written))
        else:
            for job in written[: max(SHOWN - before, 0)]:
                say(_line(job))

    def about(self, job: Enqueued, type: str) -> dict[str, object]:
        """A job that was written, as plain data."""
        due = job.scheduled_for
        return {
            "id": job.id,
            "stream": job.place or self.stream,
            "type": type,
            "created": job.created,
            "replaced": job.replaced,
            "scheduled_for": None if due is None else due.timestamp(),
        }

    def skip(self, bad: str) -> None:
        """A line was no job and is skipped."""
        self.skipped += 1
        complain(f"{bad} (skipped)")

    def so_far(self, *, unsure: bool = False) -> str:
        """How many jobs have been written, and up to which line, for an error message.

        Args:
            unsure: whether the server may have written more.
        """
        if self.written == 0:
            told = "no job was written"
        else:
            told = f"{_count(self.written, 'job')} {'was' if self.written == 1 else 'were'} written"
        if self.line is not None:
            told += f", up to line {self.line}{' for certain' if unsure else ''}"
        return f"{told}, perhaps some more" if unsure else told

    def progress(self, done: int, total: int | None) -> None:
        """Show how far it is, to a person who has waited for a while."""
        if self._bar is None:
            shown = self.written > SHOWN and not self.json and not self.quiet
            late = time.monotonic() - self._started > PATIENCE
            if not (shown and late and is_terminal(sys.stderr)):
                return
            self._bar = _bar()
            self._bar.add_task("", total=total)
            self._bar.start()
        self._bar.update(
            self._bar.task_ids[0], completed=done, description=_count(self.written, "job")
        )

    def close(self) -> None:
        """Remove the progress bar."""
        if self._bar is not None:
            self._bar.stop()

    def summary(self) -> None:
        """The last line."""
        seconds = time.monotonic() - self._started
        if self.stopped is ExitCode.BROKEN_PIPE:
            complain(f"stopped, because nothing reads the output: {self.so_far()}")
            return
        if self.stopped is not None:
            complain(f"interrupted: {self.so_far()}")
        if not self.many or self.quiet:
            return
        if self.json:
            say_json(
                {
                    "enqueued": self.written,
                    "skipped": self.skipped,
                    "seconds": round(seconds, 3),
                }
            )
        elif self.stopped is None:
            skipped = f", skipped {_count(self.skipped, 'bad line')}" if self.skipped else ""
            say(f"Enqueued {_count(self.written, 'job')} in {seconds:.2f} s{skipped}")


def _line(job: Enqueued) -> str:
    if job.replaced:
        return f"Replaced: {job.id}"
    if not job.created:
        return f"Already known: {job.id}"
    return f"{'Enqueued' if job.scheduled_for is None else 'Scheduled'} job: {job.id}"


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _bar() -> Progress:
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("Enqueued {task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console(stderr=True),
        transient=True,
    )
