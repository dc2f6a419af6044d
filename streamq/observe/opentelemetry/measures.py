"""The metrics of the conventions."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.metrics import Meter

from streamq.observe.opentelemetry import names

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""The buckets of durations that the conventions give."""

Attributes = Mapping[str, str | int]


class Measures:
    """The metrics of one app."""

    def __init__(self, meter: Meter) -> None:
        self._sent = meter.create_counter(
            names.SENT, "{message}", "Number of messages producer attempted to send to the broker."
        )
        self._operation = meter.create_histogram(
            names.OPERATION_DURATION, "s",
            "Duration of messaging operation initiated by a producer or consumer client.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )  # fmt: skip
        self._consumed = meter.create_counter(
            names.CONSUMED, "{message}",
            "Number of messages that were delivered to the application.",
        )  # fmt: skip
        self._process = meter.create_histogram(
            names.PROCESS_DURATION, "s", "Duration of processing operation.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )  # fmt: skip

    def sent(
        self, attributes: Attributes, seconds: float, written: int, failed: int, error: str | None
    ) -> None:
        """One produce has ended.

        Args:
            failed: how many jobs it has tried to write, and did not, as far as is known.
        """
        counted = {k: v for k, v in attributes.items() if k != names.OPERATION_TYPE}
        wrong = _wrong(error)
        if written:
            self._sent.add(written, counted)
        if failed:
            self._sent.add(failed, {**counted, **wrong})
        self._operation.record(seconds, {**attributes, **wrong})

    def consumed(self, attributes: Attributes, count: int) -> None:
        """Jobs are given to a handler."""
        self._consumed.add(count, attributes)

    def processed(
        self, attributes: Attributes, seconds: float, outcome: str, error: str | None
    ) -> None:
        """A handler has ended."""
        self._process.record(seconds, {**attributes, names.OUTCOME: outcome, **_wrong(error)})


def _wrong(error: str | None) -> Attributes:
    return {} if error is None else {names.ERROR_TYPE: error}
