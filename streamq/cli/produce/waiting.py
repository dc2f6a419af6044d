"""One job that is written and waited for: its result is what the command prints."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from streamq.admin import Admin
from streamq.cli.command import Exit
from streamq.cli.connection import connect, the_group
from streamq.cli.exits import CommandError, ExitCode
from streamq.cli.output import complain, console, is_terminal, progress, say_json
from streamq.errors import GroupNotFound, StreamNotFound
from streamq.new_job import NewJob
from streamq.produce.partitioned import Partitions
from streamq.produce.producer import Producer
from streamq.results import Results
from streamq.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from streamq.cli.produce.report import Report
    from streamq.cli.produce.writing import Target
    from streamq.produce.many import Pair
    from streamq.results import Finished, Progress
    from streamq.server import Server


async def write_and_wait(
    target: Target, job: Pair, group: str | None, timeout: float | None, report: Report
) -> None:
    """Write one job, wait until a group has run it, and print its result.

    Raises:
        StreamqError: it could not be written, it has no result, or not in time.
        Exit: it has none, and that was printed as JSON.
    """
    target.check(job)
    async with connect(target.url) as server:
        name = await _group(server, target.stream, group)
        producer = Producer(
            server, target.max_payload, target.replication,
            partitions=Partitions(server, {}, look=True),
        )  # fmt: skip
        enqueued = await producer.produce(target.stream, NewJob(*job, **target.options))
        report.wrote([enqueued], [job])
        bar = _Bar(shown=not report.quiet and is_terminal(sys.stderr))
        try:
            end = await Admin(server).finished(
                enqueued.place or target.stream,
                enqueued.id,
                name,
                timeout=timeout,
                on_progress=bar.show,
            )
        finally:
            bar.close()
    if report.json:
        error = end.error
        say_json(
            {
                **report.about(enqueued, job[0]),
                "group": name,
                "state": end.state,
                "result": None if error else end.value,
                "error": None if error is None else str(error),
            }
        )
        if end.state != "succeeded":
            raise Exit(ExitCode.REFUSED)
    else:
        _say(end)


def _say(end: Finished) -> None:
    error = end.error
    if error is None:
        say_json(end.value)
    elif end.state == "succeeded":
        complain(error)  # it has no result that could be printed, but it was done
    else:
        raise error


async def _group(server: Server, stream: str, given: str | None) -> str:
    """The group that is waited for, before anything is written."""
    if given is not None:
        return await Results(server).group(stream, given)  # it need not exist yet
    try:
        return await the_group(server, stream, None)
    except (GroupNotFound, StreamNotFound):
        raise CommandError(
            f"the stream {printable(stream, 100)} has no group yet: say with --group which one "
            "is to run the job",
            ExitCode.USAGE,
        ) from None


class _Bar:
    """A progress bar, from the first word of the job's progress on."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown
        self._bar: Bar | None = None

    def show(self, now: Progress) -> None:
        """Show how far the job is."""
        if not self._shown:
            return
        if self._bar is None:
            from rich.progress import BarColumn, Progress, TextColumn

            self._bar = Progress(
                BarColumn(), TextColumn("{task.description}", markup=False),
                console=console(stderr=True), transient=True,
            )  # fmt: skip
            self._bar.add_task("", total=1.0)
            self._bar.start()
        told = progress(now.done, now.note) or ""
        self._bar.update(self._bar.task_ids[0], completed=now.done, description=told)

    def close(self) -> None:
        """Remove it."""
        if self._bar is not None:
            self._bar.stop()
