"""How much memory the embedded server may use."""

from __future__ import annotations

import os
import re
from pathlib import Path

from streamq.errors import ConfigError
from streamq.text import printable

ENV_MAXMEMORY = "STREAMQ_MAXMEMORY"

SHARE = 0.5
"""Of the memory there is: rewriting its file may for a moment need as much again."""

LEAST_SHARE = 64 * 1024**2
LEAST = 4 * 1024**2
"""The server without any data needs about 1 MiB."""

_SIZE = re.compile(r"([0-9]{1,15})(b|kb?|mb?|gb?)?", re.IGNORECASE)
# As in the server's own settings: k is 1,000 and kb is 1,024.
_UNITS = {
    "": 1, "b": 1, "k": 1000, "kb": 1024, "m": 1000**2, "mb": 1024**2, "g": 1000**3, "gb": 1024**3,
}  # fmt: skip


def chosen_limit() -> int | None:
    """The bytes in ``STREAMQ_MAXMEMORY``: 0 for no limit, ``None`` where it is not set.

    Raises:
        ConfigError: it is not a size.
    """
    text = os.environ.get(ENV_MAXMEMORY, "").strip()
    if not text:
        return None
    match = _SIZE.fullmatch(text)
    limit = int(match[1]) * _UNITS[(match[2] or "").lower()] if match else -1
    if limit != 0 and limit < LEAST:
        raise ConfigError(
            f"{ENV_MAXMEMORY} is {printable(text, 60)!r}: give the embedded server's memory in "
            "bytes, or as 512mb or 2gb; 4mb or more, or 0 for no limit"
        )
    return limit


def default_limit(root: Path = Path("/")) -> int:
    """A share of what this machine has, or of what this process may use of it.

    Args:
        root: where the system's files are.
    """
    return max(int(SHARE * min((_physical(), *_allowed(root)))), LEAST_SHARE)


def _physical() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _allowed(root: Path) -> list[int]:
    """The limits of the control groups that this process is in, in bytes."""
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # such as on macOS
        return []
    limits = []
    for line in groups:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            top, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        # In a container the path may be that of the host, and its own limit stands at the top.
        own = top / path.lstrip("/")
        for group in (own, *own.parents):
            limits += _limit_in(group / name)
            if group == top:
                break
    return limits


def _limit_in(file: Path) -> list[int]:
    try:
        text = file.read_text().strip()
    except OSError:
        return []
    return [int(text)] if text.isdigit() else []  # "max" is none
