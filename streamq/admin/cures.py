"""What an operator does by hand about pending jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from streamq import lua
from streamq.admin.consumers import consumers_of
from streamq.admin.existing import require_group
from streamq.admin.reading import pending_pages
from streamq.errors import ConfigError, ConsumerNotFound, StillInUse
from streamq.limits import RESULT_TTL
from streamq.server import Server
from streamq.text import printable
from streamq.wire.entry import check_id
from streamq.wire.keys import PARKED, WAITING, group_keys

BATCH = 50
"""Jobs that one script call treats."""

RELEASED_AT_ONCE = 1000
"""Jobs that one script call gives back."""


class RetryNow(StrEnum):
    """What became of a job that was to be retried now."""

    DUE = "due"
    """The next worker with room takes it."""
    RUNNING = "running"
    """A live worker is running it; it was left alone."""
    NOT_PENDING = "not_pending"
    """It is not pending in this group."""
    DELETED = "deleted"
    """Its entry was missing from the stream; it is no longer pending."""


_ANSWERS = {1: RetryNow.DUE, 0: RetryNow.RUNNING, -1: RetryNow.NOT_PENDING, -2: RetryNow.DELETED}


@dataclass(frozen=True, slots=True)
class Released:
    """What became of a consumer.

    Attributes:
        jobs: how many it held that are now due for other consumers.
        removed: whether it is gone; ``False`` when it took new ones meanwhile.
    """

    jobs: int
    removed: bool

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data."""
        return asdict(self)


async def retry_now(
    server: Server, stream: str, group: str, ids: Iterable[str], lease: float
) -> Mapping[str, RetryNow]:
    """See :meth:`streamq.admin.Admin.retry_now`."""
    keys = group_keys(stream, group)
    wanted = await _checked(server, stream, group, ids)
    done: dict[str, RetryNow] = {}
    for start in range(0, len(wanted), BATCH):
        batch = wanted[start : start + BATCH]
        answers = await server.run(lua.retry_now(keys, int(lease * 1000), batch))
        done |= zip(batch, (_ANSWERS[answer] for answer in answers), strict=True)
    return done


async def retry_all(server: Server, stream: str, group: str, lease: float) -> int:
    """See :meth:`streamq.admin.Admin.retry_all`."""
    due = 0
    await require_group(server, stream, group)
    async for page in pending_pages(server, stream, group, PARKED):
        done = await retry_now(server, stream, group, [row.id for row in page], lease)
        due += sum(outcome is RetryNow.DUE for outcome in done.values())
    return due


async def dead_letter(
    server: Server, stream: str, group: str, ids: Iterable[str], error: str
) -> Mapping[str, bool]:
    """See :meth:`streamq.admin.Admin.dead_letter`."""
    keys = group_keys(stream, group)
    wanted = await _checked(server, stream, group, ids)
    done: dict[str, bool] = {}
    for start in range(0, len(wanted), BATCH):
        batch = wanted[start : start + BATCH]
        answers = await server.run(lua.to_dead_letters(keys, error, int(RESULT_TTL * 1000), batch))
        done |= zip(batch, (answer == 1 for answer in answers), strict=True)
    return done


async def release(
    server: Server, stream: str, group: str, consumer: str, lease: float, *, force: bool
) -> Released:
    """See :meth:`streamq.admin.Admin.release`."""
    keys = group_keys(stream, group)
    await require_group(server, stream, group)
    name = printable(consumer, 200)
    if consumer in WAITING:
        raise ConfigError(f"{consumer} is no worker: it holds jobs that wait; retry them by ID")
    for known in await consumers_of(server, stream, group, lease):
        if known.name == consumer:
            break
    else:
        raise ConsumerNotFound(
            f"the group {group} of {printable(stream, 100)} has no consumer {name}"
        )
    if known.alive and not force:
        raise StillInUse(
            f"the consumer {name} is alive, last heard of {known.idle:.1f} s ago: "
            "stop it, and it releases its jobs itself"
        )
    jobs, looked_at = 0, RELEASED_AT_ONCE
    while looked_at == RELEASED_AT_ONCE:
        released, looked_at = await server.run(lua.release(keys, consumer, RELEASED_AT_ONCE))
        jobs += released
    removed = await server.run(lua.retire(keys, consumer))
    return Released(jobs, bool(removed))


async def _checked(server: Server, stream: str, group: str, ids: Iterable[str]) -> list[str]:
    """The IDs, each once, after making sure that they are IDs and that the group exists."""
    wanted = list(dict.fromkeys(map(check_id, ids)))
    await require_group(server, stream, group)
    return wanted
