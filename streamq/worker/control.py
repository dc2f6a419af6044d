"""What holds for one group at the moment: its rules, and whether it is paused."""

from __future__ import annotations

import asyncio

from streamq.flow.rules import Rules
from streamq.flow.state import GroupState


class Control:
    """The rules that a program declares, with what an operator has changed of them.

    Attributes:
        rules: as the scripts take them; empty for a group without.
        paused: whether nothing is to be fetched.
        any_cancelled: whether jobs of the group are cancelled that have not ended yet.
        version: counts the changes.
    """

    def __init__(self, declared: Rules) -> None:
        self._declared = declared
        self._state = GroupState()
        self.rules = declared.pack()
        self.paused = False
        self.any_cancelled = False
        self.version = 0
        self._freed = asyncio.Event()

    def set(self, state: GroupState) -> None:
        """Take note of what an operator has set."""
        if state != self._state:
            self._state = state
            self.paused = state.paused_since is not None
            self.rules = state.rules(self._declared).pack(tuple(sorted(state.paused_types)))
            self.version += 1

    def free(self) -> None:
        """Take note that something has been settled: there may be room for others."""
        self._freed.set()

    async def freed(self, timeout: float) -> None:
        """Wait until something is settled, but not for longer than ``timeout`` seconds."""
        self._freed.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._freed.wait()
        except TimeoutError:
            pass
