"""Lines of charts as paths of SVG, drawn here alone: a page gets them ready, and news as well."""

from __future__ import annotations

import math
from collections.abc import Sequence

WIDTH, HEIGHT = 300, 60
"""The box in which a path is drawn; the page stretches it."""

Point = tuple[float, float | None]
"""A time, and a value or that it is not known."""


_SPANS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 6 * 3600, 12 * 3600, 86400)


def top_of(*lines: Sequence[Point], spans: bool = False) -> float:
    """The value at the upper edge: a round number, and never below 1.

    Args:
        spans: the values are seconds.
    """
    most = max((value for line in lines for _, value in line if value is not None), default=0)
    if most <= 1:
        return 1
    if spans:
        return next((top for top in _SPANS if top >= most), math.ceil(most / 86400) * 86400)
    power = 10.0 ** math.floor(math.log10(most))
    return next(power * step for step in (1, 2, 5, 10) if power * step >= most)


def line(points: Sequence[Point], now: float, seconds: float, top: float, gap: float) -> str:
    """A path through the points of the last ``seconds``.

    Args:
        gap: seconds between two points from which on there is no line.
    """
    parts: list[str] = []
    last: float | None = None
    for at, value in points:
        if value is None or at < now - seconds:
            last = None
            continue
        x = WIDTH * (1 - (now - at) / seconds)
        y = HEIGHT - min(value / top, 1) * (HEIGHT - 2) - 1
        starts = last is None or at - last > gap
        parts.append(f"{'M' if starts else 'L'}{x:.1f} {y:.1f}")
        if starts:
            parts.append("h0")  # a point alone is seen as well
        last = at
    return "".join(parts)
