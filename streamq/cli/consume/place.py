"""A process's own side: its place among several under a supervisor."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from streamq.process.child import LIFELINE, stop_with_supervisor

if TYPE_CHECKING:
    from streamq.observe.prometheus.series import Series
    from streamq.worker import Subscription, Worker

NUMBER = "STREAMQ_PROCESS"
SHEET = "STREAMQ_SHEET"
URL = "STREAMQ_PROCESS_URL"


class Place(NamedTuple):
    """A process's own side: its place under the supervisor.

    Attributes:
        number: which of the processes it is, from 1.
        lifeline: the descriptor that ends when it is to stop.
        sheet: the descriptor of the file for its counts.
        url: the server's, if the supervisor was given one.
    """

    number: int
    lifeline: int
    sheet: int
    url: str | None

    def series(self, subscriptions: Sequence[Subscription]) -> Series:
        """The observer that counts for the supervisor."""
        from streamq.observe.prometheus.series import Series
        from streamq.observe.prometheus.sheet import Sheet

        sheet = Sheet(self.sheet, Series(subscriptions).counts())
        return Series(subscriptions, sheet.write)

    async def run(self, worker: Worker) -> None:
        """Run the worker until it ends or the supervisor wants it to."""
        watching = asyncio.create_task(stop_with_supervisor(self.lifeline, worker.stop))
        try:
            await worker.run(signals=True)
        finally:
            watching.cancel()


def find_place() -> Place | None:
    """This process's place, or ``None`` where no supervisor has started it.

    It is taken out of the environment, so that no program started from here has it too.
    """
    given = [os.environ.pop(name, None) for name in (NUMBER, LIFELINE, SHEET)]
    url = os.environ.pop(URL, None)
    if None in given:
        return None
    number, lifeline, sheet = (int(value) for value in given if value is not None)
    place = Place(number, lifeline, sheet, url)
    for descriptor in (place.lifeline, place.sheet):
        os.set_inheritable(descriptor, False)
    return place
