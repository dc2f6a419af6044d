"""Where large data is kept, and what is left of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

from streamq import App

ABOVE = 1000
BIG = "x" * 5000


def data_keys(client: redis.Redis) -> list[str]:
    """What is kept outside of streams."""
    return sorted(str(key) for key in client.scan_iter("*:data:*"))


def nothing_left(client: redis.Redis) -> bool:
    found: Any = client.keys("*")
    return set(found) <= {"jobs", "others"} and client.xlen("jobs") == 0


class Shelf:
    """An object store in this process."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.broken: Exception | None = None

    async def put(self, name: str, data: bytes) -> None:
        self._check()
        self.kept[name] = data

    async def get(self, name: str) -> bytes:
        self._check()
        return self.kept[name]

    async def delete(self, names: Sequence[str]) -> None:
        self._check()
        for name in names:
            self.kept.pop(name, None)

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken


def count_of(app: App, client: redis.Redis) -> int:
    """How much data is kept outside, wherever."""
    offload = app.offload
    assert offload is not None
    if isinstance(offload.store, Shelf):
        return len(offload.store.kept)
    return sum(client.type(key) == "string" for key in data_keys(client))
