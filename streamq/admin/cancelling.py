"""Cancelling jobs: one in some groups, or all of a kind, in bounded steps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from streamq import lua
from streamq.admin.content import Content, content, plain_data
from streamq.admin.existing import groups_meant
from streamq.admin.reading import pages
from streamq.errors import ConfigError, JobNotFound
from streamq.option_checks import check_key
from streamq.server import Server
from streamq.text import printable
from streamq.wire.entry import check_id, check_type
from streamq.wire.keys import group_keys

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
        scheduled: whether it was for later, and has been taken back.
        groups: what became of it in each group.
    """

    job_id: str
    scheduled: bool = False
    groups: Mapping[str, CancelOutcome] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether it is cancelled, or will be, in at least one group."""
        ended = (CancelOutcome.CANCELLED, CancelOutcome.CANCELLING)
        return self.scheduled or any(outcome in ended for outcome in self.groups.values())

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data."""
        return asdict(self)


async def cancel_in_groups(
    server: Server,
    stream: str,
    job_ids: Sequence[str],
    group: str | None,
    lease: float,
    record_ttl: float,
) -> list[Cancelled]:
    """Cancel jobs in one group, or in all.

    Args:
        lease: seconds after which an idle entry is stalled, and ends at once.
        record_ttl: seconds for which the record says that they were cancelled.

    Raises:
        GroupNotFound: there is no such group.
    """
    for job_id in job_ids:
        check_id(job_id)
    found: dict[str, dict[str, CancelOutcome]] = {job_id: {} for job_id in job_ids}
    ids = [*found]
    for name in await groups_meant(server, stream, group):
        keys = group_keys(stream, name)
        for start in range(0, len(ids), AT_ONCE):
            chunk = ids[start : start + AT_ONCE]
            call = lua.cancel(keys, int(lease * 1000), int(record_ttl * 1000), chunk)
            for job_id, answer in zip(chunk, await server.run(call), strict=True):
                found[job_id][name] = CancelOutcome(answer.decode())
    return [Cancelled(job_id, groups=outcomes) for job_id, outcomes in found.items()]


def not_found(stream: str, job_id: str) -> JobNotFound:
    """The error for a job of which there is no trace to cancel."""
    return JobNotFound(
        f"the stream {printable(stream, 100)} has no job {printable(job_id, 60)} to cancel: every "
        "group has settled it, it was cancelled, or it is on another stream"
    )


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

    def has(self, job: Content, fields: Sequence[bytes]) -> bool:
        """Whether a job is one of them."""
        if self.type is not None and job.type != self.type:
            return False
        if self.key is not None:
            named = dict(zip(fields[::2], fields[1::2], strict=False))
            if b"data" not in named or named.get(b"key") != self.key.encode():
                return False
        return self.where is None or bool(self.where(plain_data(job.raw, job.ref)["data"]))


async def matching(server: Server, stream: str, wanted: Wanted) -> AsyncIterator[list[str]]:
    """The IDs of the entries that are wanted, page by page, oldest first."""
    async for page in pages(server, stream):
        ids = [entry.id for entry in page if wanted.has(content(entry.fields), entry.fields)]
        if ids:
            yield ids
