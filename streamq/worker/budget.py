"""How many deliveries a worker may still take."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext


class Budget:
    """How many more deliveries a worker may take; ``None`` for no limit."""

    def __init__(self, left: int | None = None) -> None:
        self.left = left
        self._lock = asyncio.Lock()

    def turn(self) -> AbstractAsyncContextManager[object]:
        """While there is a limit, consumers read one after the other, or they overdraw it."""
        return nullcontext() if self.left is None else self._lock

    def allow(self, wanted: int) -> int:
        """How many of ``wanted`` may be fetched."""
        return wanted if self.left is None else min(wanted, self.left)

    def spend(self, count: int) -> None:
        """Count what was fetched."""
        if self.left is not None:
            self.left -= count

    @property
    def spent(self) -> bool:
        """Whether nothing more may be fetched."""
        return self.left == 0
