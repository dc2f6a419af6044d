"""The partitions of what a worker consumes: those there are, when it may begin with one, and what
others are told of it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from typing import Any, NamedTuple

import anyio

from streamq import lua
from streamq.errors import ConfigError
from streamq.flow.rules import Rules
from streamq.flow.state import parse_state
from streamq.handlers.table import Handlers
from streamq.job import job_of_partition
from streamq.partitions import Layout, has_own_entries
from streamq.server import Server
from streamq.signals import Signal, Signals
from streamq.wire.keys import group_keys, stream_keys
from streamq.worker.settings import Settings

EVERY = 5.0
"""Seconds between looks for new partitions; each worker takes its own, a little more or less."""

GATE = 1.0
"""Seconds between looks whether a group may begin with a new partition."""


class Place(NamedTuple):
    """One key of the server from which jobs of a stream are read.

    Attributes:
        key: that one.
        partition: the number; ``None`` for the stream's own name, which other programs may write
            to, and to which was written before it had partitions.
    """

    key: str
    partition: int | None


async def places_of(server: Server, layout: Layout) -> list[Place]:
    """The keys that a worker reads for a stream, each after the one that had its keys before."""
    places = [Place(layout.name(number), number) for number in range(layout.partitions)]
    if not places or await has_own_entries(server, layout.stream):
        places.insert(0, Place(layout.stream, None))
    return places


def of_partition(
    handlers: Handlers, stream: str, partition: int | None, layouts: Mapping[str, Layout]
) -> Handlers:
    """The handlers for one partition, whose jobs know where they are."""
    own = copy(handlers)
    own.job = job_of_partition(handlers.job, stream, partition, layouts)
    return own


def shared_among(settings: Settings, count: int) -> Settings:
    """The settings for each of several partitions, which fetch ahead as much as one stream."""
    return replace(settings, prefetch=-(-settings.prefetch // count)) if count else settings


def check_rules(group: str, stream: str, rules: Rules) -> None:
    """Refuse rules that partitions cannot keep.

    Raises:
        ConfigError: the key of the rules is not that of the partitions.
    """
    if rules and rules.key_from is not None:
        raise ConfigError(
            f"the group {group}: key_from={rules.key_from!r} on the stream {stream}, which has "
            "partitions: a job is in that of the key that it was produced with; produce it with "
            "key=…, and leave key_from out"
        )


async def source_of(server: Server, key: str) -> tuple[str, str] | None:
    """The key that had the order keys of a partition before, and the last entry that it was given
    until then; ``None`` for one that is as old as the stream's partitions."""
    source, end = await server.call("HMGET", stream_keys(key).settings, "source", "source_end")
    return (source.decode(), end.decode()) if source and end else None


class Gate:
    """Whether a group may begin with a partition.

    A group that keeps an order comes to a new partition when it has settled all that was written
    before to the one that had its keys.
    """

    def __init__(self, server: Server, key: str, group: str, rules: Rules) -> None:
        self._server = server
        self._key, self._group = key, group
        self._rules = rules

    async def wait(self, stop: anyio.Event) -> None:
        """Wait for the next look, or until the worker stops."""
        with anyio.move_on_after(GATE):
            await stop.wait()

    async def is_open(self) -> bool:
        """Look.

        Raises:
            StreamqError: the server cannot be used.
        """
        before = await source_of(self._server, self._key)
        if before is None:
            return True
        keys = group_keys(self._key, self._group)
        state = parse_state(await self._server.call("HGETALL", keys.state))
        rules = state.rules(self._rules)
        if not (rules.order or rules.limit_per_key or rules.rate_per_key):
            return True
        return await self._settled(*before)

    async def _settled(self, source: str, end: str) -> bool:
        call = lua.settled_until(group_keys(source, self._group), end)
        if not await self._server.run(call):
            return False
        # It may have been empty while what it had taken over itself was still elsewhere.
        before = await source_of(self._server, source)
        return before is None or await self._settled(*before)


class SignalsOfPartition(Signals):
    """Tells of a partition by the name of its stream."""

    def __init__(self, signals: Signals, key: str, stream: str) -> None:
        super().__init__()
        self._signals = signals
        self._key, self._stream = key, stream

    def send(self, event: Signal) -> None:
        """Call every observer."""
        told: Any = event
        if getattr(event, "stream", None) == self._key:
            told = replace(told, stream=self._stream)
        self._signals.send(told)


def pause() -> float:
    """Seconds until the next look for new partitions."""
    return EVERY * random.uniform(0.75, 1.25)
