"""What an :class:`~streamq.admin.Admin` does about one key: a stream, or a partition of one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from streamq.admin.jobs_admin import JobsAdmin

if TYPE_CHECKING:
    from streamq.admin.cancelling import Cancelled, CancelSummary
    from streamq.admin.cron import Schedules
    from streamq.admin.paging import Page
    from streamq.admin.schedules import ScheduledJob


# Each question is imported when it is asked: a command line asks one, and starts quickly.


class KeyAdmin(JobsAdmin):
    """An Admin for which every key is a stream by itself: it knows of no partitions."""

    # -- jobs for later -------------------------------------------------------

    def scheduled(self, stream: str, *, limit: int | None = None) -> AsyncIterator[ScheduledJob]:
        """The jobs that will be written to a stream later, those due first.

        Args:
            limit: stop after this many.
        """
        from streamq.admin.schedules import scheduled_jobs

        return scheduled_jobs(self._server, stream, limit, self._codec)

    async def scheduled_page(
        self, stream: str, *, after: str | None = None, limit: int = 50
    ) -> Page[ScheduledJob]:
        """A page of the jobs that will be written to a stream later, those due first.

        Args:
            after: what the page before says of where to go on.
            limit: how many at most.
        """
        from streamq.admin.schedules import scheduled_page

        return await scheduled_page(self._server, stream, after, limit, self._codec)

    async def scheduled_counts(self, streams: Iterable[str]) -> Mapping[str, int]:
        """How many jobs will be written to each of these streams later; they need not exist."""
        from streamq.admin.schedules import scheduled_counts

        return await scheduled_counts(self._server, streams)

    async def scheduled_job(self, stream: str, name: str) -> ScheduledJob:
        """One job that will be written to a stream later.

        Args:
            name: the ID that ``produce`` gave it, as for the methods below.

        Raises:
            JobNotFound: there is none of that name, or it is in the stream by now.
        """
        from streamq.admin.schedules import scheduled_job

        return await scheduled_job(self._server, stream, name, self._codec)

    async def cancel_scheduled(self, stream: str, name: str) -> bool:
        """Take a job for later back before its time; ``False`` when it is too late.

        Its idempotency key is free again.
        """
        from streamq.admin.schedules import cancel

        return await cancel(self._server, stream, name, self._store)

    async def run_now(self, stream: str, name: str) -> bool:
        """Let a job for later be due now; ``False`` when it is no longer waiting.

        The next worker that looks writes it to the stream, within a tenth of a second.
        """
        return await self.reschedule(stream, name, delay=0)

    async def reschedule(
        self, stream: str, name: str, *, delay: float | None = None, at: datetime | None = None
    ) -> bool:
        """Give a job for later another time; ``False`` when it is no longer waiting.

        Args:
            delay: seconds from now.
            at: an aware datetime; one that is past means now.

        Raises:
            ConfigError: neither or both are given, or one that is no time.
        """
        from streamq.admin.schedules import reschedule

        return await reschedule(self._server, stream, name, delay, at)

    async def cancel(self, stream: str, job_id: str, *, group: str | None = None) -> Cancelled:
        """Cancel a job, in every group or in one. A job that is cancelled never runs again.

        One that waits (queued, for a retry, held, for later) does not run at all. One that runs is
        cancelled within a second: an ``async def`` handler gets :class:`asyncio.CancelledError`,
        a process is killed, a program of ``--exec`` gets SIGTERM, and a thread finds
        :attr:`streamq.Job.cancelled`. Should it succeed before that, it has succeeded, and its
        record says so.

        Args:
            job_id: its ID; of a job for later, the name that ``produce`` gave it.

        Returns:
            What became of it: true if it is cancelled, or will be.

        Raises:
            GroupNotFound: there is no such group.
            StreamNotFound: there is no such stream.
        """
        from streamq.admin.cancelling import Cancelled, cancel_jobs
        from streamq.admin.schedules import find, is_name
        from streamq.errors import ConfigError, JobNotFound

        if is_name(job_id):
            if group is None and await self.cancel_scheduled(stream, job_id):
                return Cancelled(job_id, taken_back=True)
            try:
                found = await find(self._server, stream, job_id)
            except JobNotFound:
                return Cancelled(job_id)
            if not isinstance(found, str):
                raise ConfigError(
                    f"the job {job_id} is for later, and for every group: leave out the group"
                )
            job_id = found
        [cancelled] = await cancel_jobs(self._server, stream, [job_id], group, self._lease)
        return cancelled

    async def cancel_all(
        self,
        stream: str,
        *,
        group: str | None = None,
        type: str | None = None,
        key: str | None = None,
        where: Callable[[Any], bool] | None = None,
    ) -> CancelSummary:
        """Cancel every job of a type, with a key, or that a function picks out of all.

        It goes through the stream in bounded steps, so it may be large; what is written
        meanwhile may be left out. Jobs for later are taken back if no group is given.

        Args:
            group: only in this group.
            type: only jobs of this type.
            key: only jobs with this order key.
            where: only jobs for which it is true, given their data; ``None`` for data that
                cannot be read.

        Raises:
            ConfigError: none of the last three is given.
        """
        from streamq.admin.cancelling import Wanted, cancel_all

        wanted = Wanted(type, key, where)
        return await cancel_all(self._server, stream, group, wanted, self._lease, self._store)

    # -- periodic jobs --------------------------------------------------------

    @property
    def schedules(self) -> Schedules:
        """The periodic jobs: to look at, make, change, pause, run now and delete."""
        from streamq.admin.cron import Schedules

        return Schedules(self._server, self._codec)
