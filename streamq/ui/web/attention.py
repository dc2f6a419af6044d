"""What somebody should look at, out of a picture of all streams: the worst first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from streamq.admin import GroupSnapshot, Snapshot

OLD = 300.0
"""Seconds that a job may wait before somebody should look."""

MOST = 8
"""Needs that are shown."""


@dataclass(frozen=True, slots=True)
class Need:
    """Something that somebody should look at.

    Attributes:
        level: ``bad`` when jobs stand still, ``warn`` otherwise.
        value: the name of a live value that says how many or how long; empty for none.
        before: what stands before that value.
        after: what stands after it.
        page: where to look.
        state: for that page, which jobs.
    """

    level: Literal["bad", "warn"]
    stream: str
    group: str
    before: str
    value: str = ""
    after: str = ""
    page: str = "group"
    state: str = ""


def needs(picture: Snapshot) -> list[Need]:
    """What somebody should look at."""
    found = [need for group in picture.groups for need in _of(group)]
    found.sort(key=lambda need: need.level)  # "bad" is before "warn"
    return found


def _of(group: GroupSnapshot) -> Iterator[Need]:
    backlog, place = group.backlog, (group.stream, group.name)
    if backlog.paused_since is not None:
        yield Need("warn", *place, "is paused;", "queued", "queued")
    elif not backlog.consumers and (backlog.queued or backlog.pending):
        yield Need("bad", *place, "has no live consumer;", "queued", "queued", page="consumers")
    elif backlog.oldest_queued >= OLD:
        yield Need("warn", *place, "is behind: its oldest job has waited for", "waits")
    if backlog.stalled:
        yield Need(
            "warn", *place, "has", "stalled", "stalled jobs of consumers that are gone",
            page="pending", state="stalled",
        )  # fmt: skip
    if backlog.dead_letters:
        yield Need("warn", *place, "has", "dead", "dead letters", page="dead")
