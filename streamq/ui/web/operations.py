"""What takes longer than a request: bulk redrives and purges, with how far each is."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from streamq.errors import StreamqError
from streamq.text import printable
from streamq.ui.web.formats import plural

PATIENCE = 1.5
"""Seconds that a request waits for the end of what it has begun."""

MOST = 50
"""Operations that are remembered."""

_log = logging.getLogger("streamq.dashboard")


@dataclass(eq=False)
class Operation:
    """Something that goes on, or has ended.

    Attributes:
        verb: what it does: ``Redrive`` or ``Purge``.
        what: to what: ``job`` or ``dead letter``.
        group: whose.
        back: the address to go back to.
        done: how many letters it has treated.
        failed: how many it could not treat.
        total: how many there were when it began; ``None`` for unknown.
        error: why it ended before its time.
    """

    verb: str
    what: str
    group: str
    back: str
    total: int | None
    done: int = 0
    failed: int = 0
    error: str = ""
    cancelled: bool = False
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    began: float = field(default_factory=time.time)
    task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self.task is not None and not self.task.done()

    @property
    def title(self) -> str:
        """What it does, for a person."""
        return f"{self.verb} {self.what}s of {self.group}"

    @property
    def told(self) -> str:
        """What it has done, for a person."""
        done = {"Redrive": "Redrove", "Purge": "Purged"}[self.verb]
        text = f"{done} {plural(self.done, self.what)} of {self.group}."
        if self.failed:
            text += f" {plural(self.failed, 'dead letter')} could not be."
        if self.cancelled:
            text += " Then it was stopped."
        return f"{text} Then it failed: {self.error}" if self.error else text

    def stop(self) -> None:
        """Stop it. What it has done stays done."""
        if self.task is not None and self.running:
            self.cancelled = True
            self.task.cancel()


class Operations:
    """The operations of this dashboard; they end with its process."""

    def __init__(self) -> None:
        self._known: dict[str, Operation] = {}

    def get(self, id: str) -> Operation | None:
        """One of them."""
        return self._known.get(id)

    async def start(
        self, operation: Operation, work: Callable[[Operation], Awaitable[None]]
    ) -> Operation:
        """Begin one, and wait a moment for its end."""

        async def run() -> None:
            try:
                await work(operation)
            except StreamqError as error:
                operation.error = printable(error, 500)
            except Exception:
                _log.exception("%s failed", operation.title)
                operation.error = "an error inside streamq; the log says what it was"

        self._known[operation.id] = operation
        for old in [one for one in self._known.values() if not one.running][: -MOST or None]:
            if len(self._known) > MOST and old is not operation:
                del self._known[old.id]
        operation.task = asyncio.create_task(run())
        await asyncio.wait({operation.task}, timeout=PATIENCE)
        return operation
