"""Batches that gather, for handlers with ``batch_wait`` or ``batch_by_key``.

A job goes to its batch when a runner comes to it, and leaves the runner free for others. A batch
that is full is called at once; one that has waited long enough is put in front of what waits for a
runner. Until then its jobs are in flight as all others are: the heartbeat renews their leases.
"""

from __future__ import annotations

from collections.abc import Callable

from streamq.handlers.handler import Handler
from streamq.job import Job
from streamq.wire.entry import id_key
from streamq.worker.batch import Batch
from streamq.worker.deadlines import Deadlines
from streamq.worker.inflight import InFlight


class Gathering:
    """The batches of one consumer that no runner has begun.

    Args:
        room: how many jobs may be in them. Beyond that the oldest batch waits no longer.
        running: how many jobs the running batches have, over one each.
        wake: called when there is a batch for a runner.
    """

    def __init__(
        self,
        in_flight: InFlight,
        room: int,
        *,
        running: Callable[[], int],
        wake: Callable[[], None],
    ) -> None:
        self.count = 0
        """Jobs that gather, or whose batch waits for a runner."""
        self._in_flight = in_flight
        self._room = room
        self._running = running
        self._wake = wake
        self._batches: dict[tuple[str, str | None], Batch] = {}
        """Those that gather, the oldest first."""
        self._waiting = 0
        """How many have been handed over and not begun."""
        self._hurried = False
        self._deadlines = Deadlines(self._batches.values(), self._hand_over)

    @property
    def apart(self) -> int:
        """How many in flight take no room from others: as a batch they need one runner."""
        return self.count + self._running()

    @property
    def free(self) -> int:
        """For how many jobs there is room."""
        return max(self._room - self.count, 0)

    def add(self, job: Job, handler: Handler) -> Batch | None:
        """Put a job with the others of its batch; return that if it is full now."""
        key = job.key if handler.batch_by_key else None
        batch = self._batches.get((handler.type, key))
        if batch is None:
            batch = self._batches[handler.type, key] = Batch(handler, key)
            self._deadlines.set(batch, 0.0 if self._hurried else handler.batch_wait)
        job.retries = handler.retries
        batch.jobs.append(job)
        self.count += 1
        if len(batch.jobs) == handler.batch:
            del self._batches[handler.type, key]
            self._waiting += 1
            return batch
        if not self.free and not self._waiting:
            self._hand_over(next(iter(self._batches.values())))
        return None

    def begin(self, batch: Batch) -> list[Job]:
        """Take out a batch that :meth:`add` or the queue has returned.

        Its jobs are in the order of their IDs, without those that are another consumer's by now.
        """
        self._waiting -= 1
        self.count -= len(batch.jobs)
        jobs = self._still_ours(batch)
        jobs.sort(key=_place)
        self._in_flight.look_for_room()
        return jobs

    def hand_over_all(self) -> None:
        """Let no batch wait any longer."""
        for batch in reversed(list(self._batches.values())):
            self._hand_over(batch)

    def hurry(self) -> None:
        """Let none wait from now on, for no more jobs will come."""
        self._hurried = True
        self.hand_over_all()

    def give_up(self) -> list[Job]:
        """Forget all that gather, and return their jobs."""
        self._deadlines.stop()
        batches = list(self._batches.values())
        self._batches.clear()
        self.count -= sum(len(batch.jobs) for batch in batches)
        return [job for batch in batches for job in self._still_ours(batch)]

    def _hand_over(self, batch: Batch) -> None:
        del self._batches[batch.handler.type, batch.key]
        self._waiting += 1
        self._in_flight.put_back(batch)
        self._wake()

    def _still_ours(self, batch: Batch) -> list[Job]:
        return [job for job in batch.jobs if self._in_flight.holds(job.id, job.attempt)]


def _place(job: Job) -> tuple[int, int]:
    return id_key(job.id)
