"""Cancelling jobs: one in some groups, or all of a kind, in bounded steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from streamq import lua
from streamq.admin.content import content, plain_data
from streamq.admin.existing import groups_meant
from streamq.admin.reading import ask, pages, text
from streamq.admin.schedules import ScheduledJob, cancel, scheduled_jobs
from streamq.errors import ConfigError
from streamq.limits import RESULT_TTL
from streamq.option_checks import check_key
from streamq.server import Server
from streamq.wire.entry import check_id, check_type
from streamq.wire.keys import group_keys

if TYPE_CHECKING:
    from streamq.offload import Store

AT_ONCE = 50
"""Jobs that one script call cancels."""


class CancelOutcome(StrEnum):
    """What became of a job that was to be cancelled in one group."""

    CANCELLED = "cancelled"
    """It has ended, or ends without being run when a worker comes to it."""
    CANCELLING = "cancelling"
    """It runs; its worker is told within a second. Should it succeed before that, it has."""
    SETTLED = "settled"
    """The group was done with it already."""
    UNKNOWN = "unknown"
    """There is no such entry any more."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What became of a job that was to be cancelled.

    Attributes:
        job_id: its ID, or the name of its schedule.
        taken_back: whether no group had it yet: it was for later, or there is no group.
        groups: what became of it in each group.
    """

    job_id: str
    taken_back: bool = False
    groups: Mapping[str, CancelOutcome] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether it is cancelled, or will be, in at least one group."""
        ended = (CancelOutcome.CANCELLED, CancelOutcome.CANCELLING)
        return self.taken_back or any(outcome in ended for outcome in self.groups.values())

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class CancelSummary:
    """How many jobs were cancelled, each counted once.

    Attributes:
        cancelled: have ended, or end without being run.
        cancelling: run, and their workers are told.
        taken_back: were for later.
    """

    cancelled: int = 0
    cancelling: int = 0
    taken_back: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data."""
        return asdict(self)


async def cancel_jobs(
    server: Server, stream: str, job_ids: Sequence[str], group: str | None, lease: float,
    record_ttl: float = RESULT_TTL,
) -> list[Cancelled]:  # fmt: skip
    """Cancel jobs in one group, or in all.

    Args:
        lease: seconds after which an idle entry is stalled, and ends at once.
        record_ttl: seconds for which the record says that they were cancelled.

    Raises:
        GroupNotFound: there is no such group.
    """
    found: dict[str, dict[str, CancelOutcome]] = {check_id(job_id): {} for job_id in job_ids}
    ids = [*found]
    names = await groups_meant(server, stream, group)
    for name in names:
        keys = group_keys(stream, name)
        for start in range(0, len(ids), AT_ONCE):
            chunk = ids[start : start + AT_ONCE]
            call = lua.cancel(keys, int(lease * 1000), int(record_ttl * 1000), chunk)
            for job_id, answer in zip(chunk, await server.run(call), strict=True):
                found[job_id][name] = CancelOutcome(answer.decode())
    if not names:
        # No group has been created yet, and the first one is not to find them.
        gone = await ask(server, *(("XDEL", stream, job_id) for job_id in ids))
        return [Cancelled(id, taken_back=one == 1) for id, one in zip(ids, gone, strict=True)]
    return [Cancelled(job_id, groups=outcomes) for job_id, outcomes in found.items()]


async def cancel_all(
    server: Server,
    stream: str,
    group: str | None,
    wanted: Wanted,
    lease: float,
    store: Store | None,
) -> CancelSummary:
    """See :meth:`streamq.admin.Admin.cancel_all`."""
    wanted.check()
    cancelled = cancelling = taken_back = 0
    if group is None:
        later = [
            job async for job in scheduled_jobs(server, stream, None) if wanted.has_scheduled(job)
        ]
        for job in later:
            taken_back += await cancel(server, stream, job.name, store)
    async for page in pages(server, stream):
        ids = [entry.id for entry in page if wanted.has(entry.fields)]
        if not ids:
            continue
        for one in await cancel_jobs(server, stream, ids, group, lease):
            if CancelOutcome.CANCELLING in one.groups.values():
                cancelling += 1
            else:
                cancelled += bool(one)
    return CancelSummary(cancelled, cancelling, taken_back)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which jobs are to be cancelled: those that fit all that is given.

    Attributes:
        type: of this type.
        key: with this order key.
        where: for which this is true, given the job's data; ``None`` where it is not JSON.
    """

    type: str | None = None
    key: str | None = None
    where: Callable[[Any], bool] | None = None

    def check(self) -> None:
        """Refuse to cancel everything by mistake.

        Raises:
            ConfigError: nothing is given, or something that cannot be.
        """
        if self.type is None and self.key is None and self.where is None:
            raise ConfigError("say which jobs: give type, key or where")
        if self.type is not None:
            check_type(self.type)
        check_key("key", self.key)

    def has(self, fields: Sequence[bytes]) -> bool:
        """Whether the job in an entry is one of them."""
        job = content(fields)
        named = dict(zip(fields[::2], fields[1::2], strict=False))
        key = text(named[b"key"]) if b"key" in named and b"data" in named else None
        return self._fits(job.type, key, lambda: plain_data(job.raw, job.ref)["data"])

    def has_scheduled(self, job: ScheduledJob) -> bool:
        """Whether a job for later is one of them."""
        return self._fits(job.type, job.key, lambda: plain_data(job.raw)["data"])

    def _fits(self, type: str, key: str | None, data: Callable[[], Any]) -> bool:
        return (
            self.type in (None, type)
            and self.key in (None, key)
            and (self.where is None or bool(self.where(data())))
        )
