"""The characters that are more than ASCII, and what stands for them where there is only that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Marks(NamedTuple):
    """Attributes:
    bars: of a sparkline, the lowest first.
    end: at the end of what was cut.
    rule: of a horizontal line.
    dot: between two things on a line.
    """

    bars: str
    end: str
    rule: str
    dot: str

    def sparkline(self, values: Sequence[float | None], width: int) -> str:
        """The last values as bars against the highest of them; a space where there is none."""
        shown = values[-width:] if width > 0 else []
        top = max((value for value in shown if value is not None), default=0.0)
        return "".join(self._bar(value, top) for value in shown).rjust(width)

    def _bar(self, value: float | None, top: float) -> str:
        if value is None:
            return " "
        if value <= 0 or top <= 0:
            return self.bars[0]
        # What is more than nothing is seen to be.
        return self.bars[max(round(value / top * (len(self.bars) - 1)), 1)]


UNICODE = Marks("▁▂▃▄▅▆▇█", "…", "─", "·")
ASCII = Marks("_.-=+*#@", "~", "-", "|")


def marks_for(encoding: str | None) -> Marks:
    """The marks that an output with this encoding can show."""
    try:
        "".join(UNICODE).encode(encoding or "ascii")
    except (UnicodeError, LookupError):
        return ASCII
    return UNICODE
