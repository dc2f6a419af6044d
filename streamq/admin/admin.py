"""The Admin: one face for all who look at jobs, and for what they do about them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from streamq.errors import StreamNotFound
from streamq.limits import LEASE
from streamq.server import Server

if TYPE_CHECKING:
    from streamq.admin.backlog import Backlogs
    from streamq.admin.cancelling import Cancelled, CancelSummary
    from streamq.admin.cron import Schedules
    from streamq.admin.cures import Released, RetryNow
    from streamq.admin.dead_letters import DeadLetters
    from streamq.admin.groups import DeletedGroup
    from streamq.admin.overview import Overview
    from streamq.admin.pending import Allowed, PendingJob
    from streamq.admin.places import RewoundGroup
    from streamq.admin.replays import Replayed
    from streamq.admin.schedules import ScheduledJob
    from streamq.admin.settings import StreamSettings
    from streamq.admin.status import JobStatus
    from streamq.admin.streams import GroupInfo, StreamInfo
    from streamq.codec import Codec
    from streamq.flow.state import GroupState
    from streamq.offload import Store
    from streamq.results import Finished
    from streamq.results.progress import OnProgress


# Each question is imported when it is asked: a command line asks one, and starts quickly.


class Admin:
    """Answers what is queued, running, waiting, stuck or dead, and treats what is stuck.

    It reads in small steps: a pending entries list of a million neither holds the
    server up nor fills the memory. An answer is therefore not one moment's picture,
    but each row of it is.

    Wherever a stream does not exist, :class:`~streamq.errors.StreamNotFound` is raised; a
    group, :class:`~streamq.errors.GroupNotFound`; wherever a name or an ID is invalid,
    :class:`~streamq.errors.ConfigError`.

    Args:
        server: the server to ask.
        lease: the workers' lease in seconds. A consumer is alive while the server has heard
            of it within the lease, and an entry stalled when it has been idle for longer;
            live workers let the server hear of them at least three times in it. One that
            is shorter than the workers' own makes running jobs look stalled. Before Redis
            7.2, a worker that has had no job for that long counts as gone too.
        allowed: tells how many attempts a job may have, given its stream, group and type.
        codec: reads the data of jobs, see :class:`~streamq.codec.Codec`; that of an app is the
            app's. Without it, data that is not JSON is shown as it was written.
        store: where large data is kept, see :class:`~streamq.offload.Offload`; that of an app is
            the app's. Without it, such data is not deleted until somebody who has it does that.
    """

    def __init__(
        self,
        server: Server,
        *,
        lease: float = LEASE,
        allowed: Allowed | None = None,
        codec: Codec | None = None,
        store: Store | None = None,
    ) -> None:
        self._server = server
        self._lease = lease
        self._allowed = allowed or _not_known
        self._codec = codec
        self._store = store

    # -- streams and groups ---------------------------------------------------

    async def info(self) -> Overview:
        """The server and all streams on it.

        Raises:
            ServerUnsupported: it is older than Redis 7.0 or Valkey 7.2.
        """
        from streamq.admin.overview import overview

        return await overview(self._server, self._lease)

    def stream_names(self) -> AsyncIterator[str]:
        """The streams on the server, as they are found, in no order.

        Of a server with more than a million keys, not all are looked at.
        """
        from streamq.admin.overview import stream_names

        return stream_names(self._server)

    async def stream(self, stream: str) -> StreamInfo:
        """One stream, its groups, and which of them keeps its oldest entry."""
        from streamq.admin.streams import stream_info

        return await stream_info(self._server, stream, self._lease)

    async def groups(self, stream: str) -> Sequence[GroupInfo]:
        """How far each group of a stream has come, and what it holds."""
        return (await self.stream(stream)).groups

    async def group_names(self, stream: str, group: str | None = None) -> Sequence[str]:
        """The groups of a stream that streamq can work with, or one, if it exists."""
        from streamq.admin.existing import groups_meant

        return await groups_meant(self._server, stream, group)

    async def backlogs(self, groups: Mapping[str, Sequence[str]]) -> Backlogs:
        """How much every group of these streams has to do, in one round trip a stream.

        Args:
            groups: for each stream the groups that are reported even if they do not exist.
        """
        from streamq.admin.backlog import backlogs

        return await backlogs(self._server, groups, self._lease)

    async def create_group(self, stream: str, group: str, start: str | datetime = "0") -> bool:
        """Create a group, and the stream if it does not exist.

        Args:
            start: the group gets the entries after this ID; ``0`` for all that are in
                the stream, ``$`` for those still to come. Or those from a time on: an aware
                datetime, or a text as ``2026-11-01T00:00Z``.

        Returns:
            Whether it was created; ``False`` when it existed.

        Raises:
            WrongKeyType: the stream's key holds something else.
        """
        from streamq.admin.groups import create_group

        return await create_group(self._server, stream, group, start)

    async def delete_group(
        self, stream: str, group: str, *, force: bool = False, dead_letters: bool = False
    ) -> DeletedGroup:
        """Delete a group, with all that is queued and pending in it.

        The entries that only this group had kept go too; what another group has not
        settled stays. If it is the last group, all entries stay, queued for the next.

        Args:
            force: even if it has live consumers. These create it again, from the
                beginning of the stream.
            dead_letters: delete its dead letters as well.

        Raises:
            StillInUse: it has live consumers.
        """
        from streamq.admin.groups import delete_group

        return await delete_group(
            self._server, stream, group, self._lease, force=force, dead_letters=dead_letters,
            store=self._store,
        )  # fmt: skip

    async def pause(self, stream: str, group: str, *, type: str | None = None) -> bool:
        """Let a group begin no more jobs, or none of a type. Those that run go on.

        It takes effect on all workers within a second, and lasts until :meth:`resume`,
        whatever is restarted meanwhile.

        Args:
            type: only jobs of this type.

        Returns:
            Whether that is new; ``False`` when it was paused already.
        """
        from streamq.admin.control import pause

        return await pause(self._server, stream, group, type)

    async def resume(self, stream: str, group: str, *, type: str | None = None) -> bool:
        """Let a group go on, or a type in it; ``False`` when it was not paused."""
        from streamq.admin.control import resume

        return await resume(self._server, stream, group, type)

    async def set_rules(self, stream: str, group: str, **rules: Any) -> GroupState:
        """Change rules of a group while it works, within a second and for all workers.

        Args:
            rules: by name, as :class:`~streamq.Group` takes them; ``None`` takes a rule away,
                ``"default"`` goes back to what the program declares.

        Returns:
            What is set now.

        Raises:
            ConfigError: there is no such rule, or it cannot be used.
        """
        from streamq.admin.control import set_rules

        return await set_rules(self._server, stream, group, rules)

    async def rewind_group(
        self, stream: str, group: str, to: str | datetime, *, force: bool = False,
        dry_run: bool = False,
    ) -> RewoundGroup:  # fmt: skip
        """Move a group back, so that it is given once more what the stream retains from there on.

        A pending job that comes after that place is queued again, so that it is given once;
        one before it stays pending.

        Args:
            to: the group goes on after this ID, or with the entries from this time on; as
                for :meth:`create_group`.
            force: even if consumers are alive, or jobs pending after that place. Who runs
                one of these cannot settle it.
            dry_run: change nothing, and tell how many entries it would be given.

        Raises:
            StillInUse: it has live consumers, or such pending jobs.
            ConfigError: the group has not come as far as that.
        """
        from streamq.admin.places import rewind_group

        return await rewind_group(
            self._server, stream, group, to, self._lease, force=force, dry_run=dry_run
        )

    async def prune(self, stream: str) -> int:
        """Delete the entries that every group has settled, and return how many.

        There are none, unless a deletion of a group was interrupted, or a group was
        deleted by other means.
        """
        from streamq.admin.groups import prune

        return await prune(self._server, stream, self._store)

    async def prune_data(self, stream: str) -> int:
        """Delete data beside a stream that no job and no dead letter has any more; how much.

        There is none, unless entries were deleted by other means (``XDEL``, ``XTRIM``). It looks
        at every key of the server, and at all entries, twice.
        """
        from streamq.admin.offloaded import prune_data

        return await prune_data(self._server, stream)

    # -- settings -------------------------------------------------------------

    async def settings(self, stream: str) -> StreamSettings:
        """What all workers of a stream agree on; the stream need not exist."""
        from streamq.admin.settings import read_settings

        return await read_settings(self._server, stream)

    async def set_stream(
        self, stream: str, *, retain: str | float | None = None,
        abandon_after: str | float | None = None, group: str | None = None,
    ) -> StreamSettings:  # fmt: skip
        """Change what all workers of a stream agree on; what is ``None`` stays as it is.

        Args:
            retain: for how long an entry that every group has settled is kept: seconds, or a
                text such as ``7d``. With 0 such entries go at once, those kept so far
                included.
            abandon_after: for how long a group without a live consumer keeps its entries,
                likewise; 0 for as long as it takes.
            group: ``abandon_after`` is for this group, not for all.

        Returns:
            The settings as they are now.
        """
        from streamq.admin.settings import change_settings

        changed = await change_settings(self._server, stream, retain, abandon_after, group)
        if retain is not None and changed.retain is None:
            try:
                await self.group_names(stream)
            except StreamNotFound:
                return changed
            await self.prune(stream)
        return changed

    # -- jobs -----------------------------------------------------------------

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

    async def pending(
        self,
        stream: str,
        group: str | None = None,
        *,
        consumer: str | None = None,
        min_idle: float = 0.0,
        states: Collection[str] = (),
        limit: int | None = None,
    ) -> AsyncIterator[PendingJob]:
        """The jobs that were delivered and are not settled: group by group, oldest first.

        Args:
            group: only this one.
            consumer: only those that this consumer holds.
            min_idle: only those idle for this many seconds or longer.
            states: only these of ``running``, ``retrying``, ``held`` and ``stalled``.
            limit: stop after this many.
        """
        from streamq.admin.pending import Wanted, check_states, pending_jobs

        wanted = Wanted(consumer, min_idle, check_states(states), self._lease)
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

    async def retry_now(
        self, stream: str, group: str, ids: Iterable[str]
    ) -> Mapping[str, RetryNow]:
        """Retry jobs now: those that wait for a retry, and stalled ones.

        Returns:
            What became of each.
        """
        from streamq.admin.cures import retry_now

        return await retry_now(self._server, stream, group, ids, self._lease)

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

    # -- jobs for later -------------------------------------------------------

    def scheduled(self, stream: str, *, limit: int | None = None) -> AsyncIterator[ScheduledJob]:
        """The jobs that will be written to a stream later, those due first.

        Args:
            limit: stop after this many.
        """
        from streamq.admin.schedules import scheduled_jobs

        return scheduled_jobs(self._server, stream, limit, self._codec)

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
        return await cancel_all(self, self._server, stream, group, wanted, self._lease)

    # -- periodic jobs --------------------------------------------------------

    @property
    def schedules(self) -> Schedules:
        """The periodic jobs: to look at, make, change, pause, run now and delete."""
        from streamq.admin.cron import Schedules

        return Schedules(self._server, self._codec)


def _not_known(stream: str, group: str, type: str) -> None:
    return None
