"""Charts as SVG, written by hand: no plotting library, text that stays text.

Both kinds take colours from the reader's colour scheme, so that they fit light and dark pages.
"""

import math
from collections.abc import Iterable
from html import escape

from harness.measure import Summary
from harness.report import Report, readable

WIDTH = 760
LEFT = 90  # room for names, at the least
LETTER = 6.6  # the width of one, on average
RIGHT = 90  # room for values
ROW = 22
PANEL_HEAD = 44
PANEL_FOOT = 34
CURVE_HEIGHT = 220

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #333 }
.title { font-weight: 600; font-size: 14px }
.muted { fill: #777 }
.grid { stroke: #ddd; stroke-width: 1 }
.range { stroke: #8fb4d9; stroke-width: 6; stroke-linecap: round }
.dot { fill: #1f6fb2 }
.line { stroke: #1f6fb2; stroke-width: 2; fill: none }
.own .range { stroke: #e5ab7f }
.own .dot { fill: #c2570c }
.own .line { stroke: #c2570c }
.own text { font-weight: 600 }
.limit .range { stroke: #bbb }
.limit .dot { fill: #777 }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd }
  .muted { fill: #999 }
  .grid { stroke: #444 }
}
"""


def dots(report: Report) -> str:
    """One panel a metric, one row a system: the median as a dot, min to max as a bar behind it.

    The axis is logarithmic: the systems lie orders of magnitude apart.
    """
    parts: list[str] = []
    top = 0.0
    for metric, meaning in report.metrics.items():
        summaries = report.summaries(metric)
        if summaries:
            parts.append(_dots_panel(top, f"{metric}: {meaning}", summaries))
            top += PANEL_HEAD + len(summaries) * ROW + PANEL_FOOT
    return _document(parts, top, str(report.machine))


def _dots_panel(top: float, title: str, summaries: list[Summary]) -> str:
    values = [value for summary in summaries for value in (summary.min, summary.max)]
    left = max(LEFT, LETTER * max(len(summary.system) for summary in summaries) + 16)
    axis = _LogAxis(values, left, WIDTH - RIGHT, whole=True)
    bottom = top + PANEL_HEAD + len(summaries) * ROW
    parts = [_text(0, top + 18, title, "title")]
    parts += _vertical_grid(axis, top + PANEL_HEAD - 12, bottom)
    parts.append(_text(WIDTH, bottom + 16, summaries[0].unit, "muted", "end"))
    for row, summary in enumerate(summaries):
        y = top + PANEL_HEAD + row * ROW
        at = axis(summary.median)
        parts += [
            f'<g class="{_kind(summary.system)}">',
            _text(left - 12, y + 4, summary.system, anchor="end"),
            f'<line class="range" x1="{axis(summary.min):.1f}" x2="{axis(summary.max):.1f}" '
            f'y1="{y:.1f}" y2="{y:.1f}"/>',
            f'<circle class="dot" cx="{at:.1f}" cy="{y:.1f}" r="5"/>',
            _text(axis(summary.max) + 12, y + 4, readable(summary.median)),
            "</g>",
        ]
    return "\n".join(parts)


def lines(report: Report) -> str:
    """One panel a metric: the medians over x on a logarithmic axis, from zero upwards."""
    parts: list[str] = []
    top = 0.0
    for metric, meaning in report.metrics.items():
        summaries = report.summaries(metric)
        if summaries:
            parts.append(_lines_panel(top, f"{metric}: {meaning}", summaries))
            top += PANEL_HEAD + CURVE_HEIGHT + PANEL_FOOT
    return _document(parts, top, str(report.machine))


def _lines_panel(top: float, title: str, summaries: list[Summary]) -> str:
    horizontal = _LogAxis((summary.x or 1 for summary in summaries), LEFT, WIDTH - RIGHT)
    bottom = top + PANEL_HEAD + CURVE_HEIGHT
    ceiling = _round_up(max(summary.max for summary in summaries))

    def y(value: float) -> float:
        return bottom - value / ceiling * (CURVE_HEIGHT - 10)

    parts = [_text(0, top + 18, title, "title")]
    for quarter in range(5):
        value = ceiling * quarter / 4
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" '
            f'y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        )
        parts.append(_text(LEFT - 12, y(value) + 4, readable(value), "muted", "end"))
    parts += [
        _text(horizontal(x), bottom + 16, _power(x), "muted", "middle")
        for x in sorted({summary.x or 1 for summary in summaries})
    ]
    parts.append(_text(WIDTH, bottom + 16, summaries[0].unit, "muted", "end"))
    for system in dict.fromkeys(summary.system for summary in summaries):
        points = [summary for summary in summaries if summary.system == system]
        places = [(horizontal(point.x or 1), y(point.median)) for point in points]
        path = " ".join(f"{x:.1f},{height:.1f}" for x, height in places)
        parts.append(f'<g class="own"><polyline class="line" points="{path}"/>')
        parts += [f'<circle class="dot" cx="{x:.1f}" cy="{h:.1f}" r="4"/>' for x, h in places]
        parts.append("</g>")
        x, height = places[-1]
        parts.append(_text(x + 10, height + 4, readable(points[-1].median)))
        if system != summaries[0].system:
            parts.append(_text(x, height - 10, system, "muted", "end"))
    return "\n".join(parts)


class _LogAxis:
    """Maps values to pixels.

    It reaches from the smallest to the largest, or with `whole` to the powers of ten around them.
    """

    def __init__(
        self, values: Iterable[float], start: float, end: float, whole: bool = False
    ) -> None:
        positive = [value for value in values if value > 0] or [1.0]
        low, high = math.log10(min(positive)), math.log10(max(positive))
        if whole:
            low, high = math.floor(low), math.ceil(high)
        self._low = low
        self._high = high if high > low else low + 1
        self._start = start
        self._scale = (end - start) / (self._high - low)

    def __call__(self, value: float) -> float:
        if value <= 0:
            return self._start
        return self._start + (math.log10(value) - self._low) * self._scale

    def decades(self) -> list[float]:
        low, high = math.ceil(self._low), math.floor(self._high)
        return [10.0**exponent for exponent in range(low, high + 1)]


def _vertical_grid(axis: _LogAxis, top: float, bottom: float) -> list[str]:
    parts = []
    for decade in axis.decades():
        x = axis(decade)
        parts.append(
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>'
        )
        parts.append(_text(x, bottom + 16, _power(decade), "muted", "middle"))
    return parts


def _power(value: float) -> str:
    """1,000 as 1k and 1,000,000 as 1M, so that ticks do not touch."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _round_up(value: float) -> float:
    """The next 1, 2, 4, or 8 times a power of ten."""
    base = 10 ** math.floor(math.log10(value)) if value > 0 else 1
    return next(base * step for step in (1, 2, 4, 8, 10, 20) if base * step >= value)


def _kind(system: str) -> str:
    if system.startswith("streamq"):
        return "own"
    return "limit" if system.startswith("bare") else "peer"


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _document(parts: list[str], height: float, note: str) -> str:
    words, rows = note.split(", "), [""]
    for word in words:
        if len(rows[-1]) + len(word) > 110:
            rows.append("")
        rows[-1] += (", " if rows[-1] else "") + word
    parts = parts + [_text(0, height + 14 + 16 * i, row, "muted") for i, row in enumerate(rows)]
    total = height + 16 * len(rows) + 8
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{total:.0f}" '
        f'viewBox="-8 -4 {WIDTH + 16} {total:.0f}">\n<style>{STYLE}</style>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )
