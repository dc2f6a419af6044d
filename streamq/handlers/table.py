"""Which handler takes a job of which type, in one group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from streamq.errors import InvalidEntry
from streamq.handlers.handler import ANY, Handler
from streamq.job import Job
from streamq.wire.entry import decode

UNSEEN = 10
"""Deliveries of a job that no handler takes: not its fault, if it was in flight when a worker
died; but one that is too large to be read has to end somewhere, too."""


class Handlers:
    """The handlers of one group on one stream.

    Args:
        handlers: by job type; the one of type ``*`` takes what no other takes.
        ignored: patterns of types that are settled unseen, such as ``thumbnail_*``.
        job: the class of the jobs, which knows how to decode their data.
    """

    def __init__(
        self,
        handlers: Iterable[Handler],
        ignored: Iterable[str] = (),
        job: type[Job] = Job,
    ) -> None:
        by_type = {handler.type: handler for handler in handlers}
        self.rest = by_type.pop(ANY, None)
        self.by_type: Mapping[str, Handler] = by_type
        self.find = _finder(by_type, self.rest)
        """The handler for a job type, or ``None``."""
        self._ignored = tuple(ignored)
        self.job = job

    def ignores(self, type: str) -> bool:
        """Whether jobs of that type are none of this group's business."""
        return any(fnmatchcase(type, pattern) for pattern in self._ignored)

    @property
    def largest_batch(self) -> int:
        """The most jobs that one call takes."""
        return max((handler.batch for handler in self._all), default=0) or 1

    @property
    def largest_gathering(self) -> int:
        """How many jobs are in one batch of each handler that gathers; 0 if none does."""
        return sum(handler.batch for handler in self._all if handler.gathers)

    @property
    def may_wait(self) -> bool:
        """Whether entries may be fetched before there is a runner for them.

        Should the worker die, they will have lost a delivery without being begun; one
        that has no other would be dead for nothing.
        """
        return all(handler.retries > 0 for handler in self._all)

    @property
    def _all(self) -> list[Handler]:
        return [*self.by_type.values(), *([self.rest] if self.rest is not None else [])]

    @property
    def deliveries(self) -> int:
        """How many deliveries a job may have whose type has no handler of its own."""
        return self.rest.retries + 1 if self.rest is not None else UNSEEN

    @property
    def deliveries_by_type(self) -> dict[str, int]:
        """How many deliveries a job may have, by its type."""
        return {type: handler.retries + 1 for type, handler in self.by_type.items()}

    def is_last(self, fields: Sequence[bytes], attempt: int) -> bool:
        """Whether an entry may have no delivery after this one."""
        try:
            type = decode(fields)[0]
        except InvalidEntry:
            type = ""
        return attempt >= self.deliveries_by_type.get(type, self.deliveries)


def _finder(
    by_type: Mapping[str, Handler], rest: Handler | None
) -> Callable[[str], Handler | None]:
    if rest is None:
        return by_type.get  # it is asked for each job
    return lambda job_type: by_type.get(job_type, rest)
