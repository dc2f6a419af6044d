"""What an :class:`Admin` answers and does about jobs that are in a stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from streamq.admin.streams_admin import StreamsAdmin
from streamq.limits import LOOKED_AT

if TYPE_CHECKING:
    from streamq.admin.activity import ConsumerActivity
    from streamq.admin.cures import Released, RetryNow
    from streamq.admin.dead_letters import DeadLetters
    from streamq.admin.followed import Followed
    from streamq.admin.paging import Page
    from streamq.admin.pending import PendingJob
    from streamq.admin.replays import Replayed
    from streamq.admin.status import JobStatus
    from streamq.results import Finished
    from streamq.results.progress import OnProgress


class JobsAdmin(StreamsAdmin):
    """The part of :class:`~streamq.admin.Admin` that is about jobs in a stream."""

    async def replay(self, stream: str, group: str, ids: Iterable[str]) -> Sequence[Replayed]:
        """Give entries that a group has settled to it once more, and to no other group.

        Each becomes a new entry with an ID of its own, which names the first one as its
        ``origin``. What is no longer in the stream, and what the group has not settled, is
        left alone.

        Returns:
            What became of each, in order.
        """
        from streamq.admin.replays import replay

        return await replay(self._server, stream, group, ids)

    async def status(self, stream: str, job_id: str, group: str | None = None) -> JobStatus:
        """What has become of one job in every group, or in one.

        Args:
            job_id: its ID; of a job for later, the name that ``produce`` gave it, also for an
                hour after it was due.

        Raises:
            JobNotFound: there is no trace of it.
        """
        from streamq.admin.schedules import find, is_name
        from streamq.admin.status import job_status, scheduled_status

        if is_name(job_id):
            found = await find(self._server, stream, job_id, self._codec)
            if not isinstance(found, str):
                return scheduled_status(found)
            job_id = found
        names = await self.group_names(stream, group)
        return await job_status(
            self._server, stream, job_id, names, self._lease, self._allowed, self._codec
        )

    async def failed_traces(
        self, stream: str, group: str, job_ids: Sequence[str]
    ) -> Mapping[str, str]:
        """By job ID, the W3C ``traceparent`` of the first attempt that failed.

        Those are missing that have had none, or none that was traced.
        """
        from streamq.admin.status import failed_traces

        return await failed_traces(self._server, stream, group, job_ids)

    async def result(
        self, stream: str, job_id: str, group: str | None = None, *,
        timeout: float | None = None, on_progress: OnProgress | None = None,
    ) -> Any:  # fmt: skip
        """What the handler of a group has returned for a job, as soon as it has.

        Args:
            job_id: what ``produce`` has returned.
            group: may be left out where the stream has one.
            timeout: seconds; without one, it waits for as long as it takes. 0 only looks.
            on_progress: called whenever the handler has told how far it is.

        Raises:
            StreamqError: see :meth:`streamq.Enqueued.result`.
        """
        return (
            await self.finished(stream, job_id, group, timeout=timeout, on_progress=on_progress)
        ).value

    async def finished(
        self, stream: str, job_id: str, group: str | None = None, *,
        timeout: float | None = None, on_progress: OnProgress | None = None,
    ) -> Finished:  # fmt: skip
        """What became of a job in a group, as soon as it is finished; see :meth:`result`.

        Raises:
            ResultTimeout: it is not finished within ``timeout``.
            ConfigError: there are several groups; it names them.
        """
        from streamq.codec import decode_result
        from streamq.results import Results

        results = Results(self._server, decode=partial(decode_result, self._codec))
        try:
            return await results.finished(stream, job_id, group, timeout, on_progress)
        finally:
            await results.close()

    def follow(
        self,
        stream: str,
        group: str | None = None,
        *,
        types: Collection[str] = (),
        states: Collection[str] = (),
    ) -> AsyncGenerator[Followed]:
        """What happens to jobs from now on, as it happens, without touching any group.

        Each job that is written, and what becomes of each attempt at one. It ends when it is
        closed, or with an error that does not pass by itself; a server that is lost is waited
        for, and what happened meanwhile is not known. The first event is the notice
        ``following``: what comes after it is told. Of a stream that is quicker than its reader,
        10,000 events are kept, and a notice says how many were left out.

        To stop before the program ends, close it: ``async with aclosing(admin.follow(…))``.

        Nobody who works pays for it while nobody follows. While somebody does, the server
        reads each job's entry once more when it is settled.

        Args:
            group: only what becomes of its jobs in this group.
            types: only jobs of these types, or patterns such as ``thumbnail_*``.
            states: only these states of :class:`~streamq.admin.Followed`; notices come in any case.

        Raises:
            ConfigError: there is no such state.
        """
        from streamq.admin.followed import Wanted
        from streamq.admin.following import follow

        return follow(self._server, stream, group, Wanted(types, states), self._codec)

    async def pending(
        self,
        stream: str,
        group: str | None = None,
        *,
        consumer: str | None = None,
        min_idle: float = 0.0,
        states: Collection[str] = (),
        limit: int | None = None,
        after: str | None = None,
    ) -> AsyncIterator[PendingJob]:
        """The jobs that were delivered and are not settled: group by group, oldest first.

        Args:
            group: only this one.
            consumer: only those that this consumer holds.
            min_idle: only those idle for this many seconds or longer.
            states: only these of ``running``, ``retrying``, ``held`` and ``stalled``.
            limit: stop after this many.
            after: only those after this ID, the last one of a page; of one group.
        """
        from streamq.admin.pending import Wanted, check_states, pending_jobs
        from streamq.wire.entry import check_id

        if after is not None:
            check_id(after)
        wanted = Wanted(consumer, min_idle, check_states(states), self._lease, after)
        names = await self.group_names(stream, group)
        left = limit
        if left == 0:
            return
        async for job in pending_jobs(
            self._server, stream, names, wanted, self._allowed, self._codec
        ):
            yield job
            if left is not None:
                left -= 1
                if left == 0:
                    return

    async def pending_page(
        self,
        stream: str,
        group: str,
        *,
        consumer: str | None = None,
        min_idle: float = 0.0,
        states: Collection[str] = (),
        type: str | None = None,
        after: str | None = None,
        limit: int = 50,
        look_at: int = LOOKED_AT,
    ) -> Page[PendingJob]:
        """A page of the pending jobs of a group, the oldest first; see :meth:`pending`.

        Args:
            type: only jobs of this type.
            after: what the page before says of where to go on.
            limit: how many at most.
            look_at: how many to look at before giving up for now, where few match.
        """
        from streamq.admin.pending import Wanted, check_states, pending_page

        wanted = Wanted(consumer, min_idle, check_states(states), self._lease)
        [name] = await self.group_names(stream, group)
        return await pending_page(
            self._server, stream, name, wanted, self._allowed, self._codec, type, after, limit,
            look_at,
        )  # fmt: skip

    async def consumers(
        self, stream: str, group: str, *, jobs: int = 3
    ) -> Sequence[ConsumerActivity]:
        """The consumers of a group, the live ones first, and what each is doing.

        Args:
            jobs: how many of the jobs that each holds, the oldest first.
        """
        from streamq.admin.activity import activity

        return await activity(
            self._server, stream, group, jobs, self._lease, self._allowed, self._codec
        )

    async def retry_now(
        self, stream: str, group: str, ids: Iterable[str]
    ) -> Mapping[str, RetryNow]:
        """Retry jobs now: those that wait for a retry, and stalled ones.

        Returns:
            What became of each.
        """
        from streamq.admin.cures import retry_now

        return await retry_now(self._server, stream, group, ids, self._lease)

    async def retry_all(self, stream: str, group: str) -> int:
        """Retry all jobs of a group now that wait for a retry, and return how many.

        It goes through them in bounded steps, so there may be a million.
        """
        from streamq.admin.cures import retry_all

        return await retry_all(self._server, stream, group, self._lease)

    async def dead_letter(
        self, stream: str, group: str, ids: Iterable[str], error: str = "made a dead letter by hand"
    ) -> Mapping[str, bool]:
        """Make pending jobs dead letters, even while they run; the worker's verdict is refused.

        Args:
            error: why, for a person.

        Returns:
            For each whether it was pending in this group, and so is dead now.
        """
        from streamq.admin.cures import dead_letter

        return await dead_letter(self._server, stream, group, ids, error)

    async def release(
        self, stream: str, group: str, consumer: str, *, force: bool = False
    ) -> Released:
        """Give back all that a consumer holds, due at once, and remove it.

        The deliveries that it had do not count as attempts.

        Args:
            force: even if it is alive. It then notices that its jobs are no longer its
                own, and cancels them; they run a second time.

        Raises:
            ConsumerNotFound: the group has no such consumer.
            StillInUse: it is alive.
        """
        from streamq.admin.cures import release

        return await release(self._server, stream, group, consumer, self._lease, force=force)

    def dead_letters(self, stream: str, group: str) -> DeadLetters:
        """The dead letters of a group: to list, redrive or purge.

        The group may have been deleted: its dead letters outlive it.
        """
        from streamq.admin.dead_letters import DeadLetters

        return DeadLetters(self._server, stream, group, self._codec, self._store)
