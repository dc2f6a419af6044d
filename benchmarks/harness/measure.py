"""Measurements, and what is said of several of them."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measurement:
    """One value of one system in one round.

    `metric` names what was measured (`process`), `unit` its unit (`jobs/s`), `jobs` how many
    jobs the value comes from. `x` is the position on a curve, for the growth measurements.
    """

    system: str
    metric: str
    value: float
    unit: str
    jobs: int
    round: int = 0
    x: float | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """Minimum, median and maximum of one metric of one system (at one point of a curve)."""

    system: str
    metric: str
    unit: str
    jobs: int
    runs: int
    min: float
    median: float
    max: float
    x: float | None = None


def summarize(measurements: Iterable[Measurement]) -> list[Summary]:
    """One summary a system, metric and position, in the order of first appearance."""
    groups: dict[tuple[str, str, float | None], list[Measurement]] = {}
    for measurement in measurements:
        key = (measurement.system, measurement.metric, measurement.x)
        groups.setdefault(key, []).append(measurement)
    summaries = []
    for group in groups.values():
        values = [measurement.value for measurement in group]
        first = group[0]
        summaries.append(
            Summary(
                system=first.system,
                metric=first.metric,
                unit=first.unit,
                jobs=first.jobs,
                runs=len(values),
                min=min(values),
                median=statistics.median(values),
                max=max(values),
                x=first.x,
            )
        )
    return summaries


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: always a value that was measured."""
    ordered = sorted(values)
    rank = max(0, min(len(ordered) - 1, -(-len(ordered) * percent // 100) - 1))
    return ordered[int(rank)]
