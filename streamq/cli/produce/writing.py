"""Jobs on their way to the stream: copies of one, reported as they are written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamq.cli.connection import connect
from streamq.cli.exits import CommandError, ExitCode, exit_code
from streamq.cli.produce.report import Report
from streamq.cli.signals import interruptible, until_nobody_reads
from streamq.errors import (
    NotReplicated,
    OutcomeUnknown,
    PayloadTooLarge,
    ServerRefused,
    StreamqError,
)
from streamq.new_job import NewJob, Options
from streamq.produce.partitioned import Partitions
from streamq.produce.producer import Producer
from streamq.wire.entry import check_type, encode_data

if TYPE_CHECKING:
    from streamq.offload import Offload
    from streamq.produce.backpressure import Backpressure
    from streamq.produce.many import Pair
    from streamq.produce.replication import Replication

BATCH = 500
"""Copies written at once."""

WAITING = "Waiting for the server; Ctrl-C leaves at once"


@dataclass(frozen=True)
class Target:
    """Where jobs are written, and how.

    Attributes:
        url: the server's; ``None`` for the default.
        stream: the stream.
        max_payload: bytes that the data of one job may take.
        replication: what is waited for, if anything is.
        options: for every job.
        offload: what is kept outside the stream.
        backpressure: how many jobs may wait, if there is a bound.
    """

    url: str | None
    stream: str
    max_payload: int
    replication: Replication | None
    options: Options
    offload: Offload | None = None
    backpressure: Backpressure | None = None

    @asynccontextmanager
    async def producer(self) -> AsyncIterator[Producer]:
        """What writes the jobs; its connections are closed at the end."""
        async with connect(self.url) as server:
            yield Producer(
                server, self.max_payload, self.replication, offload=self.offload,
                backpressure=self.backpressure, partitions=Partitions(server, {}, look=True),
            )  # fmt: skip

    def check(self, job: Pair) -> None:
        """See whether a job can be written, before anything is.

        Raises:
            StreamqError: it cannot.
        """
        check_type(job[0])
        try:
            encode_data(job[1], self.max_payload)
        except PayloadTooLarge as error:
            raise PayloadTooLarge(f"{error} (--max-payload)") from None


async def write_copies(target: Target, job: Pair, count: int, report: Report) -> None:
    """Write one job, or several copies of it.

    Raises:
        StreamqError: it is no job, or could not be written.
    """
    report.many = count > 1
    target.check(job)
    async with target.producer() as producer:
        if count == 1:
            try:
                enqueued = await producer.produce(target.stream, NewJob(*job, **target.options))
            except NotReplicated as error:
                report.wrote_ids(error.job_ids, [job])
                raise
            report.wrote([enqueued], [job])
            return
        async with stopping_in_good_order(report):
            while report.written < count and report.stopped is None:
                batch = [job] * min(BATCH, count - report.written)
                await write(producer, target, batch, report)
                report.progress(report.written, count)


async def write(
    producer: Producer, target: Target, jobs: Sequence[Pair], report: Report,
    lines: Sequence[int] = (),
) -> None:  # fmt: skip
    """Write some jobs, and tell of each chunk once it is written.

    Args:
        lines: the lines of a file that they come from.

    Raises:
        CommandError: not all could be written; it says how many were.
    """
    done = 0
    try:
        async for written in producer.stream_jobs(target.stream, jobs, target.options):
            part = slice(done, done + len(written))
            report.wrote(written, jobs[part], lines[part])
            done += len(written)
    except StreamqError as error:
        if isinstance(error, NotReplicated):
            part = slice(done, done + len(error.job_ids))
            report.wrote_ids(error.job_ids, jobs[part], lines[part])
        if not report.many:
            raise
        # Of a chunk whose replies did not all come, or not all well, some may be written.
        unsure = isinstance(error, OutcomeUnknown | ServerRefused) and len(jobs) > 1
        raise CommandError(f"{error}; {report.so_far(unsure=unsure)}", exit_code(error)) from error


@asynccontextmanager
async def stopping_in_good_order(
    report: Report, stop: Callable[[], None] = lambda: None
) -> AsyncIterator[None]:
    """At a signal, or when nothing reads the output, finish the chunk on its way.

    So the number of jobs that were written is exact.

    Args:
        stop: called then, to let no more come.
    """

    def end(code: ExitCode) -> None:
        report.stopped = report.stopped or code
        stop()

    try:
        with interruptible(end, WAITING), until_nobody_reads(end):
            yield
    finally:
        report.close()
