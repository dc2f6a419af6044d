"""The values that change while one looks: by a key, as text.

A page shows each in an element whose ``data-live`` is the key; what has changed is pushed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

from streamq.admin import GroupSnapshot, Snapshot
from streamq.ui.web.attention import needs
from streamq.ui.web.charts import Point, line, top_of
from streamq.ui.web.formats import age, number, rate
from streamq.ui.web.pictures import INTERVAL, KEPT, Moment, Sample
from streamq.ui.web.places import Place, groups_at

Values = dict[str, str]
"""By key: a text, or the path of a chart's line."""

_COUNTS = ("queued", "running", "retrying", "held", "stalled", "consumers", "gone")


@dataclass(frozen=True, slots=True)
class Chart:
    """One of the charts of a page.

    Attributes:
        name: part of the keys.
        title: what it shows, and in which unit.
        lines: for each line its name, and the field of a :class:`Sample`.
    """

    name: str
    title: str
    unit: str
    lines: tuple[tuple[str, str], ...]

    def text(self, value: float | None) -> str:
        """A value of it."""
        match self.unit:
            case "jobs":
                return number(value)
            case "s":
                return age(value)
        return rate(value)


CHARTS = (
    Chart("throughput", "Throughput", "/s", (("settled/s", "settled"), ("written/s", "added"))),
    Chart("lag", "Lag", "jobs", (("queued", "queued"),)),
    Chart("failures", "Failures", "/s", (("dead letters/s", "dead"),)),
    Chart("latency", "Latency", "s", (("oldest waits", "waits"),)),
)


def charts(history: Sequence[Moment], place: tuple[str, str] | None) -> Values:
    """The values of the charts, of all groups or of one."""
    samples = [
        (moment.at, moment.all if place is None else moment.groups.get(place))
        for moment in list(history)
    ]
    values: Values = {}
    now = samples[-1][0] if samples else 0.0
    for chart in CHARTS:
        drawn = [_points(samples, field) for _, field in chart.lines]
        top = top_of(*drawn, spans=chart.unit == "s")
        values[f"chart:{chart.name}:top"] = age(top) if chart.unit == "s" else number(top)
        for (_, field), points in zip(chart.lines, drawn, strict=True):
            key = f"chart:{chart.name}:{field}"
            values[key] = chart.text(points[-1][1] if points else None)
            values[f"{key}:path"] = line(points, now, KEPT, top, 3 * INTERVAL)
    return values


def _points(samples: Sequence[tuple[float, Sample | None]], field: str) -> list[Point]:
    return [(at, None if sample is None else getattr(sample, field)) for at, sample in samples]


def key_of(stream: str, group: str, name: str) -> str:
    """The key of a value of a group."""
    return f"group:{stream}:{group}:{name}"


def group_values(group: GroupSnapshot) -> Values:
    """The values of one group."""
    backlog = group.backlog
    own = {name: number(getattr(backlog, name)) for name in _COUNTS}
    own |= {
        "pending": number(backlog.pending),
        "dead": number(backlog.dead_letters),
        "waits": age(backlog.oldest_queued),
        "oldest_pending": age(backlog.oldest_pending),
        "rate": rate(group.settled_rate),
    }
    return {key_of(group.stream, group.name, name): value for name, value in own.items()}


def values_of(picture: Snapshot, history: Sequence[Moment], place: Place, show: str) -> Values:
    """All values of a page.

    Args:
        show: what the page shows: ``overview``, ``groups`` or ``group``, of the place.
    """
    values = charts(history, place.key) if show in ("overview", "group") else {}
    groups = groups_at(picture, place)
    for group in groups:
        values |= group_values(group)
    values["nav:pending"] = number(sum(group.backlog.pending for group in groups))
    values["nav:dead"] = number(sum(group.backlog.dead_letters or 0 for group in groups))
    if show == "overview":
        for stream in picture.streams:
            values[f"stream:{stream.name}:length"] = number(stream.length)
            values[f"stream:{stream.name}:rate"] = rate(stream.added_rate)
        values |= _totals(picture)
    return values


def _totals(picture: Snapshot) -> Values:
    backlogs = [group.backlog for group in picture.groups]
    totals = {
        "retrying": sum(backlog.retrying for backlog in backlogs),
        "running": sum(backlog.running for backlog in backlogs),
        "dead": sum(backlog.dead_letters or 0 for backlog in backlogs),
    }
    return {f"all:{name}": number(count) for name, count in totals.items()}


def shape(picture: Snapshot, place: Place, show: str) -> str:
    """What has to be drawn anew when it changes: which groups there are, and what they need."""
    what = [
        (group.stream, group.name, group.backlog.paused_since, group.backlog.paused_types)
        for group in groups_at(picture, place)
    ]
    needed = needs(picture) if show == "overview" else []
    return f"{crc32(repr((what, needed)).encode()):08x}"
