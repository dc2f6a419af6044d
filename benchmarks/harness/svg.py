"""The parts of a chart: axes, texts, the page. SVG by hand: no plotting library, text stays text.

A chart has a page of its own behind it, and takes the colours of both from the reader's colour
scheme: it reads well wherever it is shown, also where the two schemes do not agree.
"""

import math
import textwrap
from collections.abc import Iterable
from html import escape
from itertools import pairwise

MARGIN = 16
WIDTH = 860  # without the margin
LETTER = 6.6  # the width of one, on average
LINE = 16
WIDEST_NOTE = 120  # letters

STYLE = """
.page { fill: #fff; stroke: #d0d7de }
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 14px }
.muted { fill: #59636e }
.value { font-size: 11px }
.grid { stroke: #d8dee4; stroke-width: 1 }
.range { stroke: #8fb4d9; stroke-width: 6; stroke-linecap: round }
.whisker { stroke: #c2570c; stroke-width: 1.5; opacity: .5 }
.dot { fill: #1f6fb2 }
.line { stroke: #c2570c; stroke-width: 2; fill: none }
.own .range { stroke: #e5ab7f }
.own .dot { fill: #c2570c }
.own .name { font-weight: 600 }
.limit .range { stroke: #bbb }
.limit .dot { fill: #777 }
.second .line, .second .whisker { stroke: #1f6fb2 }
@media (prefers-color-scheme: dark) {
  .page { fill: #0d1117; stroke: #3d444d }
  text { fill: #f0f6fc }
  .muted { fill: #9198a1 }
  .grid { stroke: #30363d }
  .range { stroke: #2f5f8f }
  .dot { fill: #58a6ff }
  .own .range { stroke: #8a4a1c }
  .own .dot { fill: #f0883e }
  .line, .whisker { stroke: #f0883e }
  .second .line, .second .whisker { stroke: #58a6ff }
  .limit .range { stroke: #555 }
  .limit .dot { fill: #999 }
}
"""


class Axis:
    """Maps values to pixels: linear from `low` to `high`, or logarithmic."""

    def __init__(self, low: float, high: float, start: float, end: float, *, log: bool) -> None:
        self.log = log
        self.low = low
        self.high = high
        self._from = self._place(low)
        self._start = start
        self._scale = (end - start) / (self._place(high) - self._from)

    def __call__(self, value: float) -> float:
        if self.log and value <= 0:
            return self._start
        return self._start + (self._place(value) - self._from) * self._scale

    def _place(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def ticks(self) -> list[float]:
        """Powers of ten, or quarters."""
        if self.log:
            low = math.ceil(math.log10(self.low) - 1e-9)
            high = math.floor(math.log10(self.high) + 1e-9)
            return [10.0**exponent for exponent in range(low, high + 1)]
        return [self.low + (self.high - self.low) * quarter / 4 for quarter in range(5)]


def value_axis(values: Iterable[float], start: float, end: float, *, log: bool) -> Axis:
    """An axis for what was measured: from zero, or from a power of ten to another one."""
    found = [value for value in values if value > 0] or [1.0]
    if log:
        low, high = math.floor(math.log10(min(found))), math.ceil(math.log10(max(found)))
        return Axis(10.0**low, 10.0 ** max(high, low + 1), start, end, log=True)
    return Axis(0, round_up(max(found)), start, end, log=False)


def point_axis(points: Iterable[float], start: float, end: float) -> Axis:
    """An axis for what was varied: logarithmic, unless the points lie at equal distances."""
    found = sorted(set(points))
    if len(found) == 1:
        return Axis(found[0] / 2, found[0] * 2, start, end, log=True)
    steps = {after - before for before, after in pairwise(found)}
    return Axis(found[0], found[-1], start, end, log=len(steps) > 1)


def round_up(value: float) -> float:
    """The next 1, 2, 4, or 8 times a power of ten."""
    base = 10.0 ** math.floor(math.log10(value))
    return next(base * step for step in (1, 2, 4, 8, 10) if base * step >= value)


def short(value: float) -> str:
    """Three significant digits: 79,178 as 79.2k, so that labels do not touch."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size * 0.9995:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}"'
    return f'<text {place} class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def dot(x: float, y: float, radius: float) -> str:
    return f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"/>'


def document(parts: list[str], height: float, note: str) -> str:
    """The page: the parts, and below them a note, which may take several lines."""
    rows = textwrap.wrap(note, WIDEST_NOTE)
    parts = parts + [text(0, height + LINE * (i + 1), row, "muted") for i, row in enumerate(rows)]
    wide, high = WIDTH + 2 * MARGIN, height + LINE * len(rows) + 2 * MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high:.0f}" '
        f'viewBox="{-MARGIN} {-MARGIN} {wide} {high:.0f}">\n<style>{STYLE}</style>\n'
        f'<rect class="page" x="{0.5 - MARGIN}" y="{0.5 - MARGIN}" width="{wide - 1}" '
        f'height="{high - 1:.0f}" rx="8"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )
