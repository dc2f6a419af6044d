"""Where deliveries come from, beside the new entries of the stream: a source a module.

A new kind of delivery is a class with the two members of :class:`Source`, and a line in
:func:`all_sources`.
"""

from __future__ import annotations

from streamq.worker.sources.context import Context
from streamq.worker.sources.held import HeldJobs
from streamq.worker.sources.retries import DueRetries
from streamq.worker.sources.source import Source
from streamq.worker.sources.stalled import StalledEntries
from streamq.worker.sources.state import StateOfGroup
from streamq.worker.sources.ticks import Ticks
from streamq.worker.sources.upkeep import Upkeep

__all__ = [
    "Context", "DueRetries", "HeldJobs", "Source", "StalledEntries",
    "StateOfGroup", "Ticks", "Upkeep", "all_sources", "gives_nothing",
]  # fmt: skip


def all_sources(context: Context, retries: DueRetries, ticks: Ticks) -> list[Source]:
    """Every source, in the order in which they are asked."""
    return [
        StateOfGroup(context), ticks, retries,
        StalledEntries(context), HeldJobs(context), Upkeep(context),
    ]  # fmt: skip


def gives_nothing(source: Source) -> bool:
    """Whether a source is asked although the group is paused, or there is no room.

    It gives nothing to handle.
    """
    return isinstance(source, StateOfGroup | Ticks | Upkeep)
