"""Numbers in few columns, so that a table of them fits a screen and does not jump."""

from __future__ import annotations

UNKNOWN = "-"

_UNITS = (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1))
"""A unit and the next smaller one, with their seconds."""


def count(number: float | None) -> str:
    """A number in four columns: ``9999``, ``12k``, ``1.2M``."""
    if number is None:
        return UNKNOWN
    if number < 10_000:
        return str(round(number))
    for unit in "kMGT":
        number /= 1000
        if number < 9.95:
            return f"{number:.1f}{unit}"
        if number < 999.5:
            return f"{number:.0f}{unit}"
    return f"{number / 1000:.0f}P"


def rate(per_second: float | None) -> str:
    """How often a second, in four columns: ``0``, ``<0.1``, ``0.3``, ``42``, ``12k``."""
    if per_second is None:
        return UNKNOWN
    if 0 < per_second < 0.05:
        return "<0.1"
    if 0 < per_second < 9.95:
        return f"{per_second:.1f}"
    return count(per_second)


def age(seconds: float | None) -> str:
    """A span of time in five columns: ``<1s``, ``42s``, ``3m5s``, ``12m``, ``1h40m``, ``23d``."""
    if seconds is None:
        return UNKNOWN
    if seconds < 1:
        return "<1s"
    whole = int(seconds)
    if whole >= 1000 * 86400:
        return f"{whole // (365 * 86400)}y"
    for unit, size, below, below_size in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "m", 60),
        ("m", 60, "s", 1),
    ):
        if whole >= size:
            rest = whole % size // below_size if whole < 10 * size else 0
            return f"{whole // size}{unit}{rest}{below}" if rest else f"{whole // size}{unit}"
    return f"{whole}s"
