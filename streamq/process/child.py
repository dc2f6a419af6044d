"""A process that a supervisor has started, on its own side."""

from __future__ import annotations

from collections.abc import Callable

import anyio

LIFELINE = "STREAMQ_LIFELINE"
"""Names the file descriptor that ends when the process is to stop: because its supervisor
says so, or because its supervisor is gone, however it went."""


async def stop_with_supervisor(lifeline: int, stop: Callable[[], None]) -> None:
    """Call ``stop`` when the supervisor is gone: its end of the pipe has closed."""
    await anyio.wait_readable(lifeline)
    stop()
