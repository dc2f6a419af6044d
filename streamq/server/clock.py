"""The server's clock, from which due times come."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Clock:
    """How far the server's clock is ahead of this machine's, in seconds."""

    ahead: float = 0.0
