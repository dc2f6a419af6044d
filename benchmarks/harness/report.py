"""What a benchmark leaves: a table, a JSON file."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from harness.machine import Machine
from harness.measure import Measurement, Summary, summarize
from harness.systems import Description

LOWER_IS_BETTER = ("ms", "bytes", "MiB", "times", "% of a core")


@dataclass
class Report:
    """All that one script measured.

    `metrics` says in words what each metric is; tables and charts follow its order. `limits`
    says with which bare loop a system is compared, where that was measured too. `axes` says of
    a curve what is varied.
    """

    benchmark: str
    metrics: dict[str, str]
    machine: Machine
    systems: dict[str, Description]
    limits: dict[str, str]
    show_settings: bool = True
    axes: dict[str, str] = field(default_factory=dict)
    measurements: list[Measurement] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def summaries(self, metric: str) -> list[Summary]:
        """Of one metric, the best first; a curve's points along the curve."""
        found = summarize(m for m in self.measurements if m.metric == metric)
        if any(summary.x is not None for summary in found):
            return sorted(found, key=lambda summary: (summary.system, summary.x or 0))
        better_first = found and found[0].unit not in LOWER_IS_BETTER
        return sorted(found, key=lambda summary: summary.median, reverse=bool(better_first))

    def print(self, console: Console) -> None:
        for metric, meaning in self.metrics.items():
            summaries = self.summaries(metric)
            if summaries:
                title = f"[bold]{metric}[/], {summaries[0].unit}: {meaning}"
                console.print(title, soft_wrap=True, highlight=False)
                console.print(self._table(summaries))
        if self.show_settings:
            for name, description in self.systems.items():
                line = f"[bold]{name}[/] ({description.package} {description.version}): "
                line += description.settings
                console.print(line, soft_wrap=True, highlight=False)
            console.print()
        console.print(str(self.machine), soft_wrap=True, highlight=False)
        for failure in self.failures:
            console.print(f"failed: {failure}", style="red", markup=False)

    def _table(self, summaries: list[Summary]) -> Table:
        unit = summaries[0].unit
        medians = {summary.system: summary.median for summary in summaries}
        curve = any(summary.x is not None for summary in summaries)
        limits = {system: self._limit(system, medians) for system in medians}
        ratio = any(limits.values()) and unit not in LOWER_IS_BETTER and not curve
        table = Table(box=box.SIMPLE_HEAD)
        table.add_column("system", no_wrap=True)
        if curve:
            table.add_column("at", justify="right")
        for name in ("min", "median", "max"):
            table.add_column(name, justify="right")
        if ratio:
            table.add_column("of bare", justify="right")
        table.add_column("runs", justify="right")
        table.add_column("jobs", justify="right")
        for summary in summaries:
            row = [summary.system]
            if curve:
                row.append(readable(summary.x or 0))
            row += [readable(value) for value in (summary.min, summary.median, summary.max)]
            if ratio:
                limit = limits[summary.system]
                row.append(f"{summary.median / limit:.1%}" if limit else "")
            table.add_row(*row, str(summary.runs), f"{summary.jobs:,}")
        return table

    def _limit(self, system: str, medians: dict[str, float]) -> float | None:
        name = self.limits.get(system, "")
        if name in self.systems and name not in medians:
            name = "bare"  # the one with records enqueues no differently, and is not asked to
        return medians.get(name)

    def write_json(self, path: Path) -> None:
        document = {
            "benchmark": self.benchmark,
            "machine": self.machine.as_json(),
            "metrics": self.metrics,
            "systems": {name: asdict(description) for name, description in self.systems.items()},
            "summaries": [
                asdict(summary) for metric in self.metrics for summary in self.summaries(metric)
            ],
            "measurements": [asdict(measurement) for measurement in self.measurements],
            "failures": self.failures,
        }
        path.write_text(json.dumps(document, indent=2) + "\n")


def readable(value: float) -> str:
    """Three significant digits below a thousand, all digits above."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
