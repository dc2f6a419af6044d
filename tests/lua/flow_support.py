"""A group with rules, its scripts run by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import redis

from streamq import lua
from streamq.flow.rules import Rules
from streamq.wire.keys import HELD, PARKED
from tests.lua.support import Group, Verdict, command, run, types_left

START = ("-", "0", "")
"""Where a sweep begins."""


class Admitted(NamedTuple):
    """What ``admit.lua`` returns."""

    next_in: int
    given: list[Any]
    deleted: list[str]
    watch: str
    any_cancelled: int

    @property
    def ids(self) -> list[str]:
        return [id for id, _, _ in self.given]


class FlowGroup(Group):
    """The scripts of flow control as methods."""

    def __init__(
        self, client: redis.Redis, paused: tuple[str, ...] = (), name: str = "g", **rules: Any
    ) -> None:
        super().__init__(client, name)
        self.packed = Rules.make(**rules).pack(paused)

    def rules(self, paused: tuple[str, ...] = (), **rules: Any) -> None:
        """Other rules from now on."""
        self.packed = Rules.make(**rules).pack(paused)

    def admit(self, consumer: str = "a", most: int = 1000) -> Admitted:
        call = lua.admit(self.keys, consumer, most, self.packed)
        return Admitted(*run(self.client, call))

    def settle_and_admit(
        self, consumer: str, *verdicts: Verdict, room: int = 1000
    ) -> tuple[list[Any], list[str]]:
        """Why some were refused, and which may run next."""
        refused, given = self.settle_and_get(consumer, *verdicts, room=room)
        return refused, [id for id, _, _ in given]

    def settle_and_get(self, consumer: str, *verdicts: Verdict, room: int = 1000) -> Any:
        plain = self.settle_call(consumer, verdicts)
        own, more = plain.keys[:4], plain.keys[4:]
        call = lua.Call(
            lua.load("settle_and_admit"), (*own, *self.keys.flow, *more),
            (*plain.args, self.packed, room),
        )  # fmt: skip
        return run(self.client, call)

    def sweep(self, places: Sequence[str] = START) -> tuple[int, list[str]]:
        """How many were moved, and the places."""
        moved, *rest = run(self.client, lua.sweep(self.keys, self.packed, places))
        return moved, rest

    def sweep_all(self) -> None:
        """Sweep until there is nothing to move any more."""
        places: Sequence[str] = START
        while True:
            moved, places = self.sweep(places)
            if moved == 0 and tuple(places) == START:
                break

    def flow(self, name: str) -> str:
        """The key of that name."""
        return next(key for key in self.keys.flow if key.endswith(f":{name}"))

    def flow_left(self) -> dict[str, str]:
        """The keys of flow control that there are, and their types."""
        kinds = types_left(self.client)
        return {key: kind for key, kind in kinds.items() if ":flow:" in key}

    def held(self) -> list[str]:
        """IDs of what is held, in order."""
        rows: Any = self.client.xpending_range(self.stream, self.name, "-", "+", 10**6, HELD)
        return [row["message_id"] for row in rows]

    def waits_for(self, *ids: str) -> list[tuple[str, int]]:
        """What held jobs wait for, as ``peek.lua`` tells."""
        _, *rows = run(self.client, lua.peek(self.keys, 100, ids))
        return [(row[8], int(float(row[9]))) for row in rows]


def add_keyed(client: redis.Redis, *keys: str | bytes, type: str = "t") -> list[str]:
    """Write a job for each key, and return their IDs."""
    return [
        str(command(client, "XADD", "jobs", "*", "type", type, "data", "{}", "key", key))
        for key in keys
    ]


def add_keyed_at(client: redis.Redis, ids: Sequence[str], key: str = "k") -> None:
    """Write jobs of one key with IDs of one's own."""
    for id in ids:
        command(client, "XADD", "jobs", id, "type", "t", "data", "{}", "key", key)


__all__ = [
    "HELD", "PARKED", "START", "Admitted", "FlowGroup", "add_keyed", "add_keyed_at",
]  # fmt: skip
