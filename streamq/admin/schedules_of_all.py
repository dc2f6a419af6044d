"""The periodic jobs of a stream that has partitions: each is in one, as a rule the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from streamq.admin.cron import ScheduleChanges, ScheduleInfo, Schedules
from streamq.admin.dead_letters_of_all import KeysOf
from streamq.codec import Codec
from streamq.errors import ScheduleNotFound
from streamq.server import Server


class SchedulesOfAll(Schedules):
    """The schedules of periodic jobs, in every partition of their streams.

    Args:
        keys: tells which keys of the server a stream has.
    """

    def __init__(self, server: Server, codec: Codec | None, *, keys: KeysOf) -> None:
        super().__init__(server, codec)
        self._keys_of = keys
        self._one = Schedules(server, codec)

    async def list(self, stream: str) -> Sequence[ScheduleInfo]:
        keys = await self._keys_of(stream)
        found = [info for key in keys for info in await self._one.list(key)]
        return sorted(found, key=lambda info: info.name) if len(keys) > 1 else found

    async def get(self, stream: str, name: str) -> ScheduleInfo:
        return await self._one.get(await self._key(stream, name), name)

    async def create(
        self, stream: str, name: str, type: str, data: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> ScheduleInfo:  # fmt: skip
        return await self._one.create(await self._key(stream, name), name, type, data, **options)

    async def update(
        self, stream: str, name: str, **changes: Unpack[ScheduleChanges]
    ) -> ScheduleInfo:
        return await self._one.update(await self._key(stream, name), name, **changes)

    async def pause(self, stream: str, name: str) -> bool:
        return await self._one.pause(await self._key(stream, name), name)

    async def resume(self, stream: str, name: str) -> bool:
        return await self._one.resume(await self._key(stream, name), name)

    async def delete(self, stream: str, name: str) -> None:
        await self._one.delete(await self._key(stream, name), name)

    async def run_now(self, stream: str, name: str) -> str:
        return await self._one.run_now(await self._key(stream, name), name)

    async def _key(self, stream: str, name: str) -> str:
        """The key that has a schedule, or the one for a new one."""
        keys = await self._keys_of(stream)
        if len(keys) == 1:
            return keys[0]
        for key in keys:
            try:
                await self._one.get(key, name)
            except ScheduleNotFound:
                continue
            return key
        # Under the stream's own name there may be no worker that looks.
        return next(key for key in keys if key != stream)
