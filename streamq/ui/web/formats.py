"""Numbers and times as the pages show them: short, and of a width that hardly changes."""

from __future__ import annotations

from datetime import UTC, datetime


def number(count: float | None) -> str:
    """A whole number: ``12,345``, from ten millions on ``12.3 M``; ``—`` for unknown."""
    if count is None:
        return "—"
    if count >= 10_000_000:
        return f"{count / 1e6:,.1f} M"
    return f"{count:,.0f}"


def rate(a_second: float | None) -> str:
    """How many a second: ``0``, ``0.4``, ``12.5``, ``1,204``; ``—`` for unknown."""
    if a_second is None:
        return "—"
    if a_second == 0:
        return "0"
    return f"{a_second:,.1f}" if a_second < 100 else f"{a_second:,.0f}"


_STEPS = ((86400.0, "d", 3600.0, "h"), (3600.0, "h", 60.0, "min"), (60.0, "min", 1.0, "s"))


def span(seconds: float | None) -> str:
    """A span of time in its two largest units: ``4 d 3 h``, ``12 min 5 s``, ``3.2 s``, ``40 ms``;
    ``—`` for unknown."""
    if seconds is None:
        return "—"
    for large, its_name, small, small_name in _STEPS:
        if seconds >= large:
            whole, rest = divmod(int(seconds), int(large))
            least = int(rest // small)
            return f"{whole} {its_name} {least} {small_name}" if least else f"{whole} {its_name}"
    if seconds >= 10 or seconds == 0:
        return f"{seconds:.0f} s"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{max(seconds * 1000, 1):.0f} ms"


def age(seconds: float | None) -> str:
    """How long something has waited, in whole seconds: ``12 min 5 s``, ``< 1 s``, ``0 s``."""
    if seconds is None or seconds >= 60:
        return span(seconds)
    return "< 1 s" if 0 < seconds < 1 else f"{int(seconds)} s"


def iso(at: float) -> str:
    """A Unix time as a machine reads it, in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def moment(at: float) -> str:
    """A Unix time as a person reads it, in UTC; a browser shows it in its own time zone."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def plural(count: int, what: str, many: str = "") -> str:
    """``1 job``, ``12 jobs``."""
    return f"{count:,} {what if count == 1 else many or what + 's'}"
