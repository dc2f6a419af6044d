"""A batch: the jobs that one call of a handler is to take."""

from __future__ import annotations

from streamq.handlers.handler import Handler
from streamq.job import Job
from streamq.worker.deadlines import NEVER


class Batch:
    """Jobs that gather for one call.

    Attributes:
        handler: what is to be called for them.
        key: the order key that they all have; ``None`` where it does not matter, or they have none.
        jobs: in the order in which they came.
        deadline: when it is handed over at the latest, by the event loop's clock.
    """

    __slots__ = ("deadline", "handler", "jobs", "key")

    def __init__(self, handler: Handler, key: str | None) -> None:
        self.handler = handler
        self.key = key
        self.jobs: list[Job] = []
        self.deadline = NEVER
