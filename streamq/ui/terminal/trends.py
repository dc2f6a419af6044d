"""How the rates went: the last of them, for sparklines."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from streamq.admin import GroupSnapshot, Snapshot

KEPT = 240
"""Pictures that are remembered; no sparkline is wider than that."""

Rates = Sequence[float | None]


class Trends:
    """The rates of the last pictures, ``None`` where one has not told."""

    def __init__(self) -> None:
        self._settled: dict[tuple[str, str], deque[float | None]] = {}
        self._whole: dict[str, deque[float | None]] = {}

    def add(self, picture: Snapshot) -> None:
        """Remember one more; what is no longer in it is forgotten."""
        before, self._settled = self._settled, {}
        for group in picture.groups:
            place = group.stream, group.name
            self._settled[place] = _extended(before.get(place), group.settled_rate)
        for name, rate in rates_of(picture).items():
            self._whole[name] = _extended(self._whole.get(name), rate)

    def settled(self, stream: str, group: str) -> Rates:
        """Entries that a group has settled a second."""
        return [*self._settled.get((stream, group), ())]

    def whole(self, name: str) -> Rates:
        """One of the rates of :func:`rates_of`."""
        return [*self._whole.get(name, ())]


def rates_of(picture: Snapshot) -> dict[str, float | None]:
    """Of all streams and groups together: ``added``, ``settled`` and ``dead`` a second."""
    groups: Sequence[GroupSnapshot] = picture.groups
    return {
        "added": _sum(stream.added_rate for stream in picture.streams),
        "settled": _sum(group.settled_rate for group in groups),
        "dead": _sum(group.dead_rate for group in groups),
    }


def _sum(rates: Iterable[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known else None


def _extended(rates: deque[float | None] | None, rate: float | None) -> deque[float | None]:
    rates = deque(maxlen=KEPT) if rates is None else rates
    rates.append(rate)
    return rates
