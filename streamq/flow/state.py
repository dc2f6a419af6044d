"""What an operator has set for a group: paused, or other rules than its program declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from streamq.errors import ConfigError
from streamq.flow.rules import NAMES, Rules

PAUSED = "paused"
"""Field of the state: since when the group is paused, Unix time in ms."""

PAUSED_TYPE = "paused:"
"""What precedes a job type in the field that says since when that type is paused."""

LIMIT = "limit:"
"""What precedes a rule's name in the field that holds what it was changed to, as JSON."""


@dataclass(frozen=True, slots=True)
class GroupState:
    """What an operator has set for a group.

    Attributes:
        paused_since: Unix time in seconds; ``None`` for a group that works.
        paused_types: types that do not run, and since when.
        limits: rules that were changed, by name; ``None`` for one that was taken away.
    """

    paused_since: float | None = None
    paused_types: Mapping[str, float] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The state as plain data."""
        return {
            "paused_since": self.paused_since,
            "paused_types": dict(self.paused_types),
            "limits": dict(self.limits),
        }

    def rules(self, declared: Rules) -> Rules:
        """The rules that hold. Changes that contradict the declared ones do not."""
        try:
            return declared.changed(self.limits)
        except ConfigError:
            return declared


NOTHING_SET = GroupState()


def parse_state(flat: Sequence[bytes]) -> GroupState:
    """The state out of the reply to ``HGETALL``; what cannot be read is left out."""
    named = {
        name.decode("utf-8", "replace"): value
        for name, value in zip(flat[::2], flat[1::2], strict=True)
    }
    since = named.get(PAUSED)
    types = {
        name.removeprefix(PAUSED_TYPE): _seconds(value)
        for name, value in named.items()
        if name.startswith(PAUSED_TYPE)
    }
    return GroupState(None if since is None else _seconds(since), types, _limits(named))


def _limits(named: Mapping[str, bytes]) -> Mapping[str, Any]:
    limits = {}
    for name in NAMES:
        try:
            limits[name] = orjson.loads(named[LIMIT + name])
        except (KeyError, ValueError):
            pass
    return limits


def _seconds(ms: bytes) -> float:
    return int(ms) / 1000 if ms.isdigit() else 0.0
