"""Text from payloads and servers, made safe to show to a person."""

from __future__ import annotations

import re

# C0, DEL and C1 controls, line and paragraph separators, bidirectional controls.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


_SPAN = re.compile(r"(\d+(?:\.\d+)?) ?(ms|s|min|m|h|d)?")
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
"""Seconds in each unit of time that a person may write."""


def span(text: str) -> float | None:
    """A duration as a person writes it, in seconds; ``None`` for what is none.

    ``30``, ``30s``, ``5m``, ``2h``, ``1d``.
    """
    match = _SPAN.fullmatch(text)
    return None if match is None else float(match[1]) * UNITS[match[2] or "s"]


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _text_of(value: object) -> str:
    try:
        return str(value)
    except Exception:  # a stranger's __str__, or nested too deeply to be shown
        return f"<{type(value).__name__}>"


def printable(value: object, limit: int | None = None) -> str:
    """``value`` on one line with every control character escaped, never raw.

    Args:
        value: text, bytes (read as UTF-8; what is not is escaped) or any object.
        limit: the most characters to return; a longer text ends in ``…``.
    """
    if isinstance(value, bytes):
        text = value.decode("utf-8", "backslashreplace")
    else:
        text = value if isinstance(value, str) else _text_of(value)
    if limit is not None and len(text) > limit:
        text = text[: max(limit - 1, 0)] + "…"
    return _UNSAFE.sub(_escape, text)


def printable_lines(value: object, limit: int | None = None) -> list[str]:
    """The lines of ``value``, each as :func:`printable` makes it.

    Args:
        limit: the most characters of all of them.
    """
    text = value if isinstance(value, str) else _text_of(value)
    if limit is not None and len(text) > limit:
        text = text[: max(limit - 1, 0)] + "…"
    return [printable(line) for line in text.splitlines()]


def size(count: float) -> str:
    """A number of bytes for a person: ``512 B``, ``1.5 KiB``, ``3.2 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def duration(seconds: float) -> str:
    """A time span for a person: ``<1 ms``, ``0.25 s``, ``42 s``, ``3 min 5 s``, ``59 min``."""
    if 0 < seconds < 0.001:
        return "<1 ms"
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    for unit, size, below, below_size in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if whole >= size:
            # Seconds matter beside three minutes, not beside an hour.
            rest = whole % size // below_size if whole < 10 * size else 0
            return f"{whole // size} {unit} {rest} {below}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def progress(done: float | None, note: str | None) -> str | None:
    """How far a job is, for a person: ``40 %, resizing``."""
    if done is None:
        return None
    return f"{done:.0%}".replace("%", " %") + (f", {printable(note)}" if note else "")


def moment(unix: float) -> str:
    """A time for a person: ``2026-03-01 14:03:07 (5 min 2 s ago)``, where they live."""
    import time

    local = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unix))
    return f"{local} ({duration(max(time.time() - unix, 0))} ago)"


def until(unix: float) -> str:
    """A time to come for a person: ``2026-03-01 14:03:07 (in 5 min 2 s)``, or ``(now)``."""
    import time

    local = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unix))
    left = unix - time.time()
    return f"{local} ({f'in {duration(left)}' if left > 0 else 'now'})"
