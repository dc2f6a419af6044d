"""What the stream's settings ask for: old entries trimmed, abandoned groups let go; and whether
a newer streamq has come."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from streamq import lua
from streamq.errors import DataTooNew, StreamqError
from streamq.signals import Abandoned
from streamq.wire.keys import check_group, group_keys, stream_keys
from streamq.wire.version import check_version
from streamq.worker.inflight import Delivery
from streamq.worker.sources.context import Context
from streamq.worker.sources.source import now

EVERY = 5.0
"""Seconds between looks; each worker takes its own, a little more or less."""

MOST = 5000
"""Entries that one call trims, about."""

NOTES = ("silent", "looked", "abandoned", "given_up", "abandon_after")
"""What the settings say of single groups, as ``abandoned:audit``."""


class Upkeep:
    """Reads the settings of the stream, and does what they ask for, in bounded steps.

    Every worker does, for whoever comes first; the scripts find nothing to do a second time.
    A stream without settings costs one short script a look.
    """

    def __init__(self, context: Context) -> None:
        self.next_at = 0.0
        self._context = context
        self._keys = stream_keys(context.keys.stream)
        self._offloads = context.handlers.job.offload is not None
        self._gone: Counter[tuple[str, str]] = Counter()

    async def take(self, room: int) -> Sequence[Delivery]:
        """One step; there is nothing to handle."""
        flat: list[bytes] = await self._context.link.run(lua.settings(self._keys))
        more = False
        if flat:
            settings = dict(zip(flat[::2], flat[1::2], strict=True))
            try:
                check_version(settings, self._keys.stream)
            except DataTooNew as error:
                self._context.fatal(error)
            if b"retain" in settings:
                reply = await self._context.link.run(
                    lua.trim(self._keys, MOST, offloads=self._offloads)
                )
                more = bool(reply and reply[1])
            if any(name.startswith((b"abandon", b"silent:")) for name in settings):
                more |= await self._look_for_abandoned(settings)
        self.next_at = now() + (0 if more else EVERY * random.uniform(0.75, 1.25))
        return ()

    async def _look_for_abandoned(self, settings: dict[bytes, bytes]) -> bool:
        """Whether there is more to give up."""
        stream, link, more = self._keys.stream, self._context.link, False
        rows: list[Any] = await link.call("XINFO", "GROUPS", stream)
        groups = [row[1].decode("utf-8", "replace") for row in rows]
        own = self._context.keys.group  # which has a consumer: this one
        watched: list[str] = []
        for group in filter(_usable, groups):
            after = _abandon_after(settings, group)
            if group == own or not after:
                continue
            watched.append(group)
            keys = group_keys(stream, group)
            lease = int(self._context.lease * 1000)
            reply = await link.run(lua.abandon(keys, self._keys, after, lease))
            if reply and reply[0]:
                more |= self._gave_up(group, *reply[1:])
        await self._forget(settings, watched)
        return more

    def _gave_up(self, group: str, unread: int, pending: int, more: int) -> bool:
        gone = self._gone
        gone[group, "unread"] += unread
        gone[group, "pending"] += pending
        if not more:
            given_up = gone.pop((group, "unread"), 0), gone.pop((group, "pending"), 0)
            if any(given_up):
                self._context.signals.send(Abandoned(self._keys.stream, group, *given_up))
        return bool(more)

    async def _forget(self, settings: dict[bytes, bytes], groups: Sequence[str]) -> None:
        """Take away what is noted of all others: they live, are no more, or may stay."""
        gone = [
            name
            for name in settings
            for what, colon, group in [name.decode("utf-8", "replace").partition(":")]
            if colon and what in NOTES[:-1] and group not in groups
        ]
        if gone:
            await self._context.link.call("HDEL", self._keys.settings, *gone)


def _abandon_after(settings: dict[bytes, bytes], group: str) -> int:
    """Milliseconds, what is set for the group before what is set for all; 0 for never."""
    default = settings.get(b"abandon_after", b"")
    value = settings.get(f"abandon_after:{group}".encode(), default)
    return int(value) if value.isdigit() else 0


def _usable(group: str) -> bool:
    try:
        check_group(group)
    except StreamqError:
        return False
    return True
