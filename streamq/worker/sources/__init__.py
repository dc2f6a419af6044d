"""Where deliveries come from, beside the new entries of the stream: a source a module.

A new kind of delivery is a class with the two members of :class:`Source`, and a line in
:func:`all_sources`.
"""

from __future__ import annotations

from streamq.worker.sources.context import Context
from streamq.worker.sources.retries import DueRetries
from streamq.worker.sources.source import Source
from streamq.worker.sources.stalled import StalledEntries

__all__ = ["Context", "DueRetries", "Source", "StalledEntries", "all_sources"]


def all_sources(context: Context, retries: DueRetries) -> list[Source]:
    """Every source, in the order in which they are asked."""
    return [retries, StalledEntries(context)]
