"""Histograms that take a batch at a time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import HistogramMetricFamily

INF = float("inf")

BUCKETS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0, INF,
)  # fmt: skip
"""Upper bounds of the buckets for the times of jobs, in seconds."""

SHORT = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, INF)
"""Upper bounds of the buckets for what the server takes for a script, in seconds."""

LATE = (0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 3600.0, INF)
"""Upper bounds of the buckets for how late something is, in seconds."""

SIZES = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, INF)
"""Upper bounds of the buckets for how many there are."""


class Histogram:
    """Counts observations into buckets, a batch at a time.

    prometheus_client's own takes a lock and a search for each observation, and a worker
    has two for each job. Here a batch is sorted, and each bound is looked for once.

    Args:
        bounds: the upper bounds of its buckets.
    """

    def __init__(self, bounds: Sequence[float] = BUCKETS) -> None:
        self._bounds = bounds
        # Replaced as a whole, never changed: a scrape in another thread sees all of a
        # batch or nothing of it, without a lock.
        self.state: tuple[Sequence[int], float] = ([0] * len(bounds), 0.0)
        """How many observations were at or below each bound, and the sum of all."""

    def observe(self, values: Sequence[float]) -> None:
        """Add a batch of observations. One below 0, by a clock that was set back, counts as 0."""
        if not values:
            return
        counts, total = self.state
        if len(values) == 1:  # most batches of a worker with little to do
            value = max(values[0], 0.0)
            place = bisect_left(self._bounds, value)
            self.state = [*counts[:place], *[n + 1 for n in counts[place:]]], total + value
            return
        ordered = sorted(values)
        if ordered[0] < 0:
            ordered = [max(value, 0.0) for value in ordered]
        self.state = (
            [
                count + bisect_right(ordered, bound)
                for count, bound in zip(counts, self._bounds, strict=True)
            ],
            total + sum(ordered),
        )

    def numbers(self) -> list[float]:
        """Its state as the numbers of a row, which :func:`histogram_family` reads."""
        counts, total = self.state
        return [*counts, total]


def histogram_family(
    name: str,
    text: str,
    labels: Sequence[str],
    rows: Iterable[tuple[Sequence[str], Iterator[float]]],
    bounds: Sequence[float] = BUCKETS,
) -> HistogramMetricFamily:
    """A metric from the next numbers of some rows.

    Args:
        rows: the values of the labels, and numbers as :meth:`Histogram.numbers` gives them.
    """
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, numbers in rows:
        buckets = [(_shown(bound), next(numbers)) for bound in bounds]
        family.add_metric(values, buckets, next(numbers))
    return family


def _shown(bound: float) -> str:
    return "+Inf" if bound == INF else f"{bound:g}"
