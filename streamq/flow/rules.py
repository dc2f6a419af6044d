"""The rules of a group: which of its jobs may run at the same time, and how fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self

import orjson

from streamq.errors import ConfigError
from streamq.flow.rate import Rate, parse_rate
from streamq.limits import MAX_HELD
from streamq.text import printable

OnFailure = Literal["block", "skip"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a group asks of flow control; see :class:`~streamq.Group`. None by default.

    Attributes:
        order: whether jobs of one key run one by one, in the order in which they were written.
        limit_per_key: how many jobs of one key may be in flight.
        rate: how fast the jobs of the group may start, over all workers.
        rate_per_key: how fast those of one key may start.
        max_in_flight: how many jobs of the group may be in flight, over all workers.
        key_from: the field of the data that is the key, such as ``customer.id``; ``None`` for the
            job's own ``key``.
        on_failure: with ``order``, whether the key waits for a job's retry.
        max_held: how many jobs may be held back before the group reads no more.
    """

    order: bool = False
    limit_per_key: int | None = None
    rate: Rate | None = None
    rate_per_key: Rate | None = None
    max_in_flight: int | None = None
    key_from: str | None = None
    on_failure: OnFailure = "block"
    max_held: int = MAX_HELD

    @classmethod
    def make(
        cls,
        *,
        order: bool | None = None,
        limit_per_key: int | None = None,
        rate: str | None = None,
        rate_per_key: str | None = None,
        max_in_flight: int | None = None,
        key_from: str | None = None,
        on_failure: OnFailure | None = None,
        max_held: int | None = None,
    ) -> Self:
        """Rules out of what a person has written; ``None`` for the default of each.

        Raises:
            ConfigError: one of them cannot be used, or not with another.
        """
        rules = cls(
            order=_flag("order", order),
            limit_per_key=_at_least_one("limit_per_key", limit_per_key),
            rate=None if rate is None else parse_rate("rate", rate),
            rate_per_key=None if rate_per_key is None else parse_rate("rate_per_key", rate_per_key),
            max_in_flight=_at_least_one("max_in_flight", max_in_flight),
            key_from=_path(key_from),
            on_failure=_choice(on_failure),
            max_held=MAX_HELD if max_held is None else _at_least_one("max_held", max_held) or 1,
        )
        rules.check()
        return rules

    def check(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            ConfigError: it does.
        """
        if self.order and self.limit_per_key not in (None, 1):
            raise ConfigError(
                f"order=True runs the jobs of a key one by one: limit_per_key={self.limit_per_key} "
                "contradicts it"
            )

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(
            self.order or self.limit_per_key or self.rate or self.rate_per_key or self.max_in_flight
        )

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """The same with what was changed at run time: texts by name, ``None`` for none.

        Raises:
            ConfigError: a change cannot be used.
        """
        values = {**self.to_dict(), **changes}
        return type(self).make(**values)

    def to_dict(self) -> dict[str, Any]:
        """The rules as plain data, rates as texts."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {k: str(v) if isinstance(v, Rate) else v for k, v in values.items()}

    def pack(self, paused: tuple[str, ...] = ()) -> str:
        """The rules as the scripts take them; see ``includes/flow.lua``. Empty for none.

        Args:
            paused: job types that are not to run.
        """
        if not self and not paused:
            return ""
        rules: dict[str, Any] = {"max_held": self.max_held}
        limit = 1 if self.order else self.limit_per_key
        if limit is not None:
            rules["limit"] = limit
        if self.order and self.on_failure == "block":
            rules["block"] = True
        if self.max_in_flight is not None:
            rules["max_in_flight"] = self.max_in_flight
        for name, rate in (("rate", self.rate), ("rate_per_key", self.rate_per_key)):
            if rate is not None:
                rules[name] = [rate.interval, rate.burst]
        if self.key_from is not None:
            rules["key_from"] = self.key_from.split(".")
        if paused:
            rules["paused"] = list(paused)
        return orjson.dumps(rules).decode()


NO_RULES = Rules()
NAMES = tuple(field.name for field in fields(Rules))


def merged(group: str, several: list[Rules]) -> Rules:
    """The rules of a group that is declared in several places.

    Raises:
        ConfigError: two of them differ.
    """
    distinct = list(dict.fromkeys(rules for rules in several if rules != NO_RULES))
    if len(distinct) > 1:
        raise ConfigError(
            f"the group {group} is declared with different rules: {_differing(*distinct[:2])}; "
            "give them in one place"
        )
    return distinct[0] if distinct else NO_RULES


def _differing(one: Rules, other: Rules) -> str:
    first, second = one.to_dict(), other.to_dict()
    name = next(name for name in NAMES if first[name] != second[name])
    return f"{name}={first[name]!r} and {name}={second[name]!r}"


def _flag(name: str, value: bool | None) -> bool:
    if value not in (None, True, False):
        raise ConfigError(f"{name}={printable(repr(value), 60)}: give True or False")
    return bool(value)


def _at_least_one(name: str, number: int | None) -> int | None:
    if number is not None and (not isinstance(number, int) or number < 1):
        raise ConfigError(f"{name}={number!r}: give one or more")
    return number


def _path(path: str | None) -> str | None:
    if path is not None and (not path or any(not part for part in path.split("."))):
        raise ConfigError(
            f"key_from={printable(repr(path), 60)}: give a field of the data, such as 'customer.id'"
        )
    return path


def _choice(on_failure: str | None) -> OnFailure:
    if on_failure in (None, "block"):
        return "block"
    if on_failure != "skip":
        raise ConfigError(f"on_failure={printable(repr(on_failure), 60)}: give 'block' or 'skip'")
    return "skip"
