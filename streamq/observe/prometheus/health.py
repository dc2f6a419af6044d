"""Whether a worker is alive, and whether it is ready: for ``/healthz`` and ``/readyz``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from prometheus_client.core import GaugeMetricFamily, Metric

from streamq import signals
from streamq.signals import Signal


class Health(NamedTuple):
    """How one process is.

    Attributes:
        alive: ``False`` when only a restart would help.
        ready: whether it works.
        words: why not, for a person.
    """

    alive: bool
    ready: bool
    words: str


class Answer(NamedTuple):
    """The answer to a probe.

    Attributes:
        good: whether the status is 200, and not 503.
        text: the body.
    """

    good: bool
    text: str


class Vitals:
    """What a process last said of itself, as a row of numbers: a supervisor can read it, too.

    Times are those of :func:`time.monotonic`, which is the same clock for all processes of a
    machine.
    """

    key: tuple[str, ...] = ("vitals",)

    def __init__(self) -> None:
        self.begun = False
        self.running = 0
        self.stopping = 0
        self.lost = 0
        self.lost_at = 0.0
        self.turned_at = 0.0

    def note(self, event: Signal) -> None:
        """Take note of a signal that tells how a worker is."""
        match event:
            case signals.LoopAlive():
                pass
            case signals.Started():
                self.begun = True
                self.running += 1
            case signals.ServerLost():
                self.lost_at = self.lost_at if self.lost else time.monotonic()
                self.lost += 1
            case signals.ServerBack():
                self.lost = max(self.lost - 1, 0)
            case signals.Stopping():
                self.stopping += 1
            case signals.Stopped():
                self.running = max(self.running - 1, 0)
                self.stopping = max(self.stopping - 1, 0)
                if not self.running:
                    self.lost = 0
        self.turned_at = time.monotonic()

    def numbers(self) -> list[float]:
        """See :class:`~streamq.observe.prometheus.rows.Row`."""
        return [
            self.begun, self.running, self.stopping, self.lost, self.lost_at, self.turned_at,
        ]  # fmt: skip


def health_of(vitals: Sequence[float], stuck_after: float) -> Health:
    """How a process is, by what its :class:`Vitals` say.

    Args:
        vitals: the numbers of its row; none before it has one.
        stuck_after: seconds after which a loop that does not turn counts as stuck.
    """
    begun, running, stopping, lost, lost_at, turned_at = vitals or [0.0] * 6
    now = time.monotonic()
    if not running:
        return Health(True, False, "stopped" if begun else "starting")
    if now - turned_at > stuck_after:
        silent = f"the event loop has not turned for {now - turned_at:.0f} s"
        return Health(False, False, f"{silent}: an async handler blocks it")
    if stopping:
        return Health(True, False, "stopping")
    if lost:
        return Health(True, False, f"no server for {now - lost_at:.0f} s: the log says why")
    return Health(True, True, "ready")


def ready_family(healths: Mapping[str, Health]) -> Metric:
    """The metric that counts those that are ready."""
    ready = sum(health.ready for health in healths.values())
    return GaugeMetricFamily(
        "streamq_workers_ready", "Worker processes that are ready", value=ready
    )


def is_alive(healths: Mapping[str, Health]) -> Answer:
    """The answer to ``/healthz``: whether all are alive."""
    return _answer({name: (health.alive, health.words) for name, health in healths.items()})


def is_ready(healths: Mapping[str, Health]) -> Answer:
    """The answer to ``/readyz``: whether all are ready."""
    return _answer({name: (health.ready, health.words) for name, health in healths.items()})


def _answer(found: Mapping[str, tuple[bool, str]]) -> Answer:
    good = all(fine for fine, _ in found.values())
    lines = ["ok"] if good else []
    lines += [f"{name}: {words}" for name, (_, words) in found.items()]
    return Answer(good, "\n".join(lines) + "\n")
