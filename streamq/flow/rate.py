"""A rate, as a person writes it: ``100/s``, ``5/min``, ``1000/h burst 50``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from streamq.errors import ConfigError
from streamq.text import printable

_RATE = re.compile(
    r"\s*(?P<count>[0-9]+)\s*/\s*(?P<each>[0-9]*)\s*(?P<unit>ms|s|sec|m|min|h|d)"
    r"(\s+burst\s+(?P<burst>[0-9]+))?\s*"
)
_SECONDS = {"ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}

MOST_PER_SECOND = 1_000_000
LONGEST = 366 * 86400
"""Seconds between two jobs of the slowest rate."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so much time, evenly spread; after a rest, ``burst`` of them at once.

    Attributes:
        count: how many.
        seconds: in which time.
        burst: how many at once, at most.
    """

    count: int
    seconds: float
    burst: int = 1

    @property
    def interval(self) -> float:
        """Milliseconds between two."""
        return self.seconds * 1000 / self.count

    def __str__(self) -> str:
        units = [("d", 86400), ("h", 3600), ("min", 60), ("s", 1), ("ms", 0.001)]
        unit, size = next(pair for pair in units if self.seconds >= pair[1])
        each = self.seconds / size
        burst = f" burst {self.burst}" if self.burst > 1 else ""
        return f"{self.count}/{'' if each == 1 else f'{each:g}'}{unit}{burst}"


def parse_rate(name: str, rate: str) -> Rate:
    """The rate that a text says.

    Args:
        name: of the option, for the message.

    Raises:
        ConfigError: it says none, or one of zero.
    """
    match = _RATE.fullmatch(rate) if isinstance(rate, str) else None
    if match is None:
        raise ConfigError(
            f"{name}={printable(repr(rate), 60)}: give a rate such as '100/s', '5/min' or "
            "'1000/h burst 50'"
        )
    count, each = int(match["count"]), int(match["each"] or 1)
    seconds = each * _SECONDS[match["unit"]]
    burst = int(match["burst"] or 1)
    if count == 0 or each == 0 or burst == 0:
        raise ConfigError(f"{name}={rate!r}: nothing would ever run; to stop a group, pause it")
    if count / seconds > MOST_PER_SECOND or seconds / count > LONGEST:
        raise ConfigError(f"{name}={rate!r}: give 1,000,000/s at most, and 1/365d at least")
    return Rate(count, seconds, burst)
