"""Signals: the first one stops the worker in good order, the second one at once."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

import anyio

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

LEAVE_AFTER = 2.0
"""Seconds for which a process that is done waits for handlers that run on in threads."""

_log = logging.getLogger("streamq")


async def stop_on_signals(stop: Callable[[], None], leave: Callable[[], None]) -> None:
    """Call ``stop`` at the first signal; at the second, ``leave``, and leave the process.

    Nothing is lost even then: what was in flight comes back when its lease has run out.
    Only the main thread can receive signals.
    """
    loop = asyncio.get_running_loop()
    asked = False

    def receive(number: int, frame: FrameType | None) -> None:
        # Called between any two instructions, so that the second signal works even
        # when a handler blocks the event loop.
        nonlocal asked
        if asked:
            try:
                leave()
            finally:
                os._exit(128 + number)
        asked = True
        loop.call_soon_threadsafe(stop)

    before = {number: signal.signal(number, receive) for number in STOP_SIGNALS}
    try:
        await anyio.sleep_forever()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_with_main() -> None:
    """Let the process end soon after its main thread, whatever handlers still do in theirs.

    A thread cannot be stopped, and Python waits for each before it ends.
    """

    def leave() -> None:
        threading.main_thread().join()
        time.sleep(LEAVE_AFTER)
        _log.warning("A handler still runs in a thread: leaving without it")
        os._exit(0)

    threading.Thread(target=leave, name="streamq leaving", daemon=True).start()
