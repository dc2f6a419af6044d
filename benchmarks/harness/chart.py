"""Charts of a report: systems side by side, or curves."""

from harness import svg
from harness.measure import Summary
from harness.report import Report
from harness.svg import MARGIN, WIDTH, short

LEFT = 64  # room for the numbers of an axis, at the least
RIGHT = 60  # room for the last value
PANEL_HEAD = 44
PANEL_FOOT = 56
ROW = 22
COLUMNS = 2
COLUMN = (WIDTH - 2 * MARGIN) / COLUMNS
CURVE_HEIGHT = 170
INSET = 26  # before the first point, so that its value does not touch the axis
WIDE_RANGE = 30  # times, from which on a curve is drawn on a logarithmic scale


def draw(report: Report) -> str:
    """Curves if anything was varied, else a row a system."""
    curves = any(measurement.x is not None for measurement in report.measurements)
    return lines(report) if curves else dots(report)


def dots(report: Report) -> str:
    """One panel a metric, one row a system: the median as a dot, min to max as a bar behind it.

    The axis is logarithmic: the systems lie orders of magnitude apart.
    """
    parts: list[str] = []
    top = 0.0
    for metric, meaning in report.metrics.items():
        summaries = report.summaries(metric)
        if summaries:
            parts += _dots_panel(top, f"{metric}: {meaning}", summaries)
            top += PANEL_HEAD + len(summaries) * ROW + PANEL_FOOT
    return svg.document(parts, top, str(report.machine))


def _dots_panel(top: float, title: str, summaries: list[Summary]) -> list[str]:
    values = [value for summary in summaries for value in (summary.min, summary.max)]
    left = max(LEFT, svg.LETTER * max(len(summary.system) for summary in summaries) + 24)
    axis = svg.value_axis(values, left, WIDTH - RIGHT, log=True)
    bottom = top + PANEL_HEAD + len(summaries) * ROW
    parts = [svg.text(0, top + 14, title, "title")]
    for tick in axis.ticks():
        parts.append(svg.line("grid", axis(tick), top + PANEL_HEAD - 14, axis(tick), bottom))
        parts.append(svg.text(axis(tick), bottom + 16, short(tick), "muted", "middle"))
    unit = f"{summaries[0].unit}, logarithmic"
    parts.append(svg.text((left + WIDTH - RIGHT) / 2, bottom + 32, unit, "muted", "middle"))
    for row, summary in enumerate(summaries):
        y = top + PANEL_HEAD + row * ROW
        parts += [
            f'<g class="{_kind(summary.system)}">',
            svg.text(left - 14, y + 4, summary.system, "name", "end"),
            svg.line("range", axis(summary.min), y, axis(summary.max), y),
            svg.dot(axis(summary.median), y, 5),
            svg.text(axis(summary.max) + 12, y + 4, short(summary.median), "name"),
            "</g>",
        ]
    return parts


def _kind(system: str) -> str:
    if system.startswith("streamq"):
        return "own"
    return "limit" if system.startswith("bare") else "peer"


def lines(report: Report) -> str:
    """Small multiples, one a metric: the medians along its curve, and from min to max."""
    shown = [metric for metric in report.metrics if report.summaries(metric)]
    parts: list[str] = []
    step = PANEL_HEAD + CURVE_HEIGHT + PANEL_FOOT
    for number, metric in enumerate(shown):
        row, column = divmod(number, COLUMNS)
        parts += _lines_panel(
            column * (COLUMN + 2 * MARGIN),
            row * step,
            metric,
            report.axes.get(metric, report.metrics[metric]),
            report.summaries(metric),
        )
    return svg.document(parts, -(-len(shown) // COLUMNS) * step, str(report.machine))


def _lines_panel(
    left: float, top: float, title: str, varied: str, summaries: list[Summary]
) -> list[str]:
    start, end = left + LEFT, left + COLUMN - 24
    bottom = top + PANEL_HEAD + CURVE_HEIGHT
    medians = [summary.median for summary in summaries]
    log = min(medians) > 0 and max(medians) > WIDE_RANGE * min(medians)
    values = [value for summary in summaries for value in (summary.min, summary.max)]
    across = svg.point_axis((summary.x or 1 for summary in summaries), start + INSET, end)
    up = svg.value_axis(values, bottom, top + PANEL_HEAD, log=log)

    parts = [svg.text(left, top + 14, title, "title")]
    unit = summaries[0].unit + (", logarithmic" if log else "")
    parts.append(svg.text(left, top + 30, unit, "muted"))
    for tick in up.ticks():
        parts.append(svg.line("grid", start, up(tick), end, up(tick)))
        parts.append(svg.text(start - 10, up(tick) + 4, short(tick), "muted", "end"))
    for x in sorted({summary.x or 1 for summary in summaries}):
        parts.append(svg.text(across(x), bottom + 16, short(x), "muted", "middle"))
    if across.log:
        varied += ", logarithmic"
    parts.append(svg.text((start + end) / 2, bottom + 32, varied, "muted", "middle"))
    systems = list(dict.fromkeys(summary.system for summary in summaries))
    for number, system in enumerate(systems):
        points = [summary for summary in summaries if summary.system == system]
        places = [(across(point.x or 1), up(point.median)) for point in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<g class="{"second" if number else "own"}">')
        parts.append(f'<polyline class="line" points="{path}"/>')
        for point, (x, y) in zip(points, places, strict=True):
            parts.append(svg.line("whisker", x, up(point.min), x, up(point.max)))
            parts.append(svg.dot(x, y, 3.5))
            # The values of the second line stand below it.
            place = max(up(point.min), y) + 15 if number else min(up(point.max), y) - 8
            parts.append(svg.text(x, place, short(point.median), "value", "middle"))
        if len(systems) > 1:
            x, y = places[len(places) // 2]
            parts.append(svg.text(x + 10, y + (34 if number else 18), system, "value"))
        parts.append("</g>")
    return parts
