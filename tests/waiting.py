"""Waiting for what tells nobody when it happens: in a server, or in another process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

PATIENCE = 10.0
"""Seconds after which a test that waits for something fails."""


async def eventually(done: Callable[[], Any]) -> None:
    """Wait for it, by asking again and again."""
    async with asyncio.timeout(PATIENCE):
        while not done():  # noqa: ASYNC110 - nobody could set an event
            await asyncio.sleep(0.005)


async def for_ever() -> None:
    """Wait for nothing, until cancelled."""
    await asyncio.Event().wait()
