"""Signals: the first one stops the worker in good order, the second one at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import anyio

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def stop_on_signals(stop: Callable[[], None]) -> None:
    """Call ``stop`` at the first signal; leave the process at the second.

    Nothing is lost even then: what was in hand comes back when its lease has run out.
    Only the main thread can receive signals.
    """
    with anyio.open_signal_receiver(*STOP_SIGNALS) as signals:
        asked = False
        async for number in signals:
            if asked:
                os._exit(128 + number)
            asked = True
            stop()


async def stop_with_supervisor(lifeline: int, stop: Callable[[], None]) -> None:
    """Call ``stop`` when the supervisor is gone: its end of the pipe has closed."""
    await anyio.wait_readable(lifeline)
    stop()
