"""The Inspector: one face for all questions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection

from streamq.admin.info import GroupInfo, StreamInfo, stream_info
from streamq.admin.overview import Overview, overview
from streamq.admin.pending import STATES, Allowed, PendingJob, Wanted, pending_jobs, usable
from streamq.admin.reading import group_names, group_not_found
from streamq.admin.status import JobStatus, job_status
from streamq.errors import ConfigError
from streamq.limits import LEASE
from streamq.server import Server
from streamq.wire.entry import check_id
from streamq.wire.keys import check_group


class Inspector:
    """Answers what is queued, running, waiting, stuck or dead, and changes nothing.

    It reads in small steps: a pending entries list of a million neither holds the
    server up nor fills the memory. An answer is therefore not one moment's picture,
    but each row of it is.

    Args:
        server: whom to ask.
        lease: the workers' lease in seconds; live workers let the server hear of them at
            least three times in it. Before Redis 7.2, a worker that has had no job for
            so long counts as gone too.
        allowed: tells how many deliveries a job may have, given its stream, group and type.
    """

    def __init__(
        self, server: Server, *, lease: float = LEASE, allowed: Allowed | None = None
    ) -> None:
        self._server = server
        self._lease = lease
        self._allowed = allowed or _not_known

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
            min_idle: only those idle for so many seconds.
            states: only these of ``running``, ``retrying`` and ``stalled``.
            limit: stop after so many.

        Raises:
            StreamNotFound: there is no such stream.
            GroupNotFound: the stream has no such group.
            ConfigError: there is no such state.
        """
        unknown = [state for state in states if state not in STATES]
        if unknown:
            raise ConfigError(f"{unknown[0]!r} is not a state: use {', '.join(STATES)}")
        groups = await self._groups(stream, group)
        wanted = Wanted(consumer, min_idle, states, self._lease)
        left = limit
        if left == 0:
            return
        async for job in pending_jobs(self._server, stream, groups, wanted, self._allowed):
            yield job
            if left is not None:
                left -= 1
                if left == 0:
                    return

    async def status(self, stream: str, job_id: str, group: str | None = None) -> JobStatus:
        """What has become of one job in every group, or in one.

        Raises:
            JobNotFound: there is no trace of it.
            StreamNotFound: there is no such stream.
            GroupNotFound: the stream has no such group.
            ConfigError: that is no job ID.
        """
        groups = await self._groups(stream, group)
        return await job_status(
            self._server, stream, check_id(job_id), groups, self._lease, self._allowed
        )

    async def groups(self, stream: str) -> tuple[GroupInfo, ...]:
        """How far each group of a stream has come, and what it holds.

        Raises:
            StreamNotFound: there is no such stream.
        """
        return (await self.stream(stream)).groups

    async def stream(self, stream: str) -> StreamInfo:
        """One stream, its groups, and which of them keeps its oldest entry.

        Raises:
            StreamNotFound: there is no such stream.
        """
        return await stream_info(self._server, stream, self._lease)

    async def info(self) -> Overview:
        """The server and all streams on it.

        Raises:
            ServerUnsupported: it is older than Redis 7.0 or Valkey 7.2.
        """
        return await overview(self._server, self._lease)

    async def _groups(self, stream: str, group: str | None) -> list[str]:
        names = await group_names(self._server, stream)
        if group is None:
            return usable(stream, names)
        if check_group(group) not in names:
            raise group_not_found(stream, group, names)
        return [group]


def _not_known(stream: str, group: str, type: str) -> None:
    return None
