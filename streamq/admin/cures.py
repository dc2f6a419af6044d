"""What an operator can do by hand about jobs that are pending."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from streamq import lua
from streamq.admin.info import consumers_of
from streamq.admin.reading import require_group
from streamq.errors import ConfigError, ConsumerNotFound, StillInUse
from streamq.limits import LEASE
from streamq.server import Server
from streamq.text import printable
from streamq.wire.entry import check_id
from streamq.wire.keys import PARKED, group_keys

BATCH = 50
"""Jobs that one script call treats."""

RELEASED_AT_ONCE = 1000
"""Jobs that one script call gives back."""


class Retried(Enum):
    """What became of a job that was to be tried again."""

    DUE = 1
    """It waits no longer: the next worker with room takes it."""
    RUNNING = 0
    """A live worker has it in hand; it was left alone."""
    NOT_PENDING = -1
    """It is not pending in this group."""
    DELETED = -2
    """Somebody had deleted its entry from the stream; it is not pending any more."""


class Released(NamedTuple):
    """What became of a consumer.

    Attributes:
        jobs: how many it held that are due for other consumers now.
        removed: whether it is gone; ``False`` when it took new ones meanwhile.
    """

    jobs: int
    removed: bool


class Cures:
    """Treats the pending jobs of one group on one stream.

    Args:
        lease: the workers' lease in seconds: an entry whose consumer has been silent for
            that long is stalled. One shorter than the workers' takes running jobs away
            from them: what these come to is then refused, and done again.

    Raises:
        ConfigError: the stream or the group cannot be called so.
    """

    def __init__(self, server: Server, stream: str, group: str, *, lease: float = LEASE) -> None:
        self.stream, self.group = stream, group
        self._keys = group_keys(stream, group)
        self._server = server
        self._lease = lease

    async def retry(self, ids: Iterable[str]) -> dict[str, Retried]:
        """Let jobs be tried again now: those that wait for a retry, and stalled ones.

        Raises:
            GroupNotFound: there is no such group.
        """
        wanted = await self._wanted(ids)
        done: dict[str, Retried] = {}
        for start in range(0, len(wanted), BATCH):
            batch = wanted[start : start + BATCH]
            call = lua.retry_now(self._keys, int(self._lease * 1000), batch)
            done |= zip(batch, map(Retried, await self._server.run(call)), strict=True)
        return done

    async def dead(self, ids: Iterable[str], error: str = "given up by hand") -> dict[str, bool]:
        """Send jobs to the dead letters, running ones too: what these come to is refused.

        Args:
            error: why, for a person.

        Returns:
            For each whether it was pending in this group, and so is dead now.

        Raises:
            GroupNotFound: there is no such group.
        """
        wanted = await self._wanted(ids)
        done: dict[str, bool] = {}
        for start in range(0, len(wanted), BATCH):
            batch = wanted[start : start + BATCH]
            answers = await self._server.run(lua.to_dead_letters(self._keys, error, batch))
            done |= zip(batch, (answer == 1 for answer in answers), strict=True)
        return done

    async def release(self, consumer: str, *, force: bool = False) -> Released:
        """Give back all that a consumer holds, due at once, and remove it.

        Args:
            force: even if it is alive. It then notices that its jobs are not its own any
                more, and cancels them; they run a second time.

        Raises:
            ConsumerNotFound: the group has no such consumer.
            StillInUse: it is alive.
            GroupNotFound: there is no such group.
        """
        await require_group(self._server, self.stream, self.group)
        name = printable(consumer, 200)
        if consumer == PARKED:
            raise ConfigError(f"{PARKED} holds the jobs that wait for a retry: retry them by ID")
        for known in await consumers_of(self._server, self.stream, self.group, self._lease):
            if known.name == consumer:
                break
        else:
            raise ConsumerNotFound(
                f"the group {self.group} of {self.stream} has no consumer {name}"
            )
        if known.alive and not force:
            raise StillInUse(
                f"the consumer {name} is alive, the server heard of it {known.idle:.1f} s ago: "
                "stop it, and it gives back what it holds by itself"
            )
        jobs, looked_at = 0, RELEASED_AT_ONCE
        while looked_at == RELEASED_AT_ONCE:
            call = lua.release(self._keys, consumer, RELEASED_AT_ONCE)
            released, looked_at = await self._server.run(call)
            jobs += released
        removed = await self._server.run(lua.retire(self._keys, consumer))
        return Released(jobs, bool(removed))

    async def _wanted(self, ids: Iterable[str]) -> list[str]:
        wanted = list(dict.fromkeys(map(check_id, ids)))
        await require_group(self._server, self.stream, self.group)
        return wanted
