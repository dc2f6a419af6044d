"""The worker: consumers for several groups and streams in one process."""

from __future__ import annotations

import os
import re
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace

import anyio

from streamq.errors import ConfigError, StreamqError
from streamq.flow.rules import NO_RULES, Rules
from streamq.handlers.table import Handlers
from streamq.limits import MAX_WEIGHT
from streamq.produce.periodic import Schedule
from streamq.server import Server
from streamq.signals import (
    Leaving,
    LoopAlive,
    Observer,
    ScriptsRan,
    Signals,
    Started,
    Stopped,
    Stopping,
)
from streamq.text import printable
from streamq.worker.budget import Budget
from streamq.worker.consumer import Consumer
from streamq.worker.executors import Executors
from streamq.worker.reconnect import Reconnect
from streamq.worker.retention import Retention
from streamq.worker.settings import Settings
from streamq.worker.shares import Share, Shares
from streamq.worker.shutdown import stop_on_signals

BURST_POLL = 0.05
"""Seconds between looks at whether a burst is over."""

LOOP_ALIVE = 1.0
"""Seconds between signals that the event loop turns, and of how long scripts took."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What to consume: one stream for one group, with these handlers.

    Attributes:
        concurrency: how many of its handlers run at once; ``None`` for the worker's number.
        rules: which of its jobs may run at the same time, and how fast.
        schedules: the periodic jobs that are in the code beside these handlers.
        weight: its share of these, which it has in common with the group's other streams;
            ``None`` where each stream has its own.
    """

    stream: str
    group: str
    handlers: Handlers
    concurrency: int | None = None
    rules: Rules = NO_RULES
    schedules: Sequence[Schedule] = ()
    weight: int | None = None


class Worker:
    """Consumes until it is stopped.

    Args:
        server: where.
        subscriptions: what, and with which handlers.
        settings: how.
        observers: called with each signal of what happens.
        burst: stop when no group has anything left queued, retrying or pending.
        max_jobs: stop after this many deliveries.
        strict: let the streams of a group share its slots, in the order given: a lower one only
            when the higher ones have nothing.
        lifespan: entered before the first job and left after the last.
        retention: for how long the streams keep what is settled; as they are without one.

    Raises:
        ConfigError: a setting cannot work as given.
    """

    def __init__(
        self,
        server: Server,
        subscriptions: Sequence[Subscription],
        *,
        settings: Settings | None = None,
        observers: Sequence[Observer] = (),
        burst: bool = False,
        max_jobs: int | None = None,
        strict: bool = False,
        lifespan: Callable[[], AbstractAsyncContextManager[object]] | None = None,
        retention: Retention | None = None,
    ) -> None:
        settings = settings or Settings()
        _check(subscriptions, max_jobs, strict)
        self.server = server
        self.settings = settings
        self.name = consumer_name()
        self._burst = burst
        self._lifespan = lifespan or nullcontext
        self._retention = retention or Retention()
        self._signals = Signals(observers)
        self._timings: list[tuple[str, float]] | None = [] if observers else None
        self._stop = anyio.Event()
        self._error: Exception | None = None
        reconnect = Reconnect(self._signals)
        budget = Budget(max_jobs)
        at_once = [s.concurrency or settings.concurrency for s in subscriptions]
        self._executors = Executors(sum(at_once), settings.processes or os.cpu_count() or 1)
        self.consumers = [
            Consumer(
                server, subscription.stream, subscription.group, self.name,
                handlers=subscription.handlers, rules=subscription.rules, concurrency=concurrency,
                settings=settings, executors=self._executors, budget=budget, reconnect=reconnect,
                signals=self._signals, fatal=self._fail, schedules=subscription.schedules,
                share=share, timings=self._timings,
            )
            for subscription, concurrency, share in zip(
                subscriptions, at_once, _shares(subscriptions, at_once, strict), strict=True
            )
        ]  # fmt: skip

    async def run(self, *, signals: bool = False) -> None:
        """Consume until :meth:`stop`, the end of a burst, or the last of ``max_jobs``.

        Args:
            signals: also stop at SIGINT and SIGTERM; only in the main thread.

        Raises:
            NoMainGuard: a handler in a process, in a script without a main guard.
            StreamqError: the server cannot be used at the start. Once running, the
                worker waits for a lost server to come back.
        """
        await self.server.info()
        try:
            for consumer in self.consumers:
                await consumer.prepare()
            for stream in dict.fromkeys(consumer.stream for consumer in self.consumers):
                await self._retention.tell(self.server, stream, self._signals)
            await self._work(signals)
        finally:
            self._tell_timings()
            self._signals.send(Stopped())
            for consumer in self.consumers:
                await consumer.close()
            self._executors.close()
        if self._error is not None:
            raise self._error

    async def _work(self, signals: bool) -> None:
        async with self._lifespan(), anyio.create_task_group() as background:
            if signals:
                background.start_soon(stop_on_signals, self.stop, self._leave)
            if self._burst:
                background.start_soon(self._watch_burst)
            background.start_soon(self._pass_on_stop)
            self._signals.send(Started())
            if self._timings is not None:
                background.start_soon(self._tell_of_loop)
            async with anyio.create_task_group() as consuming:
                for consumer in self.consumers:
                    consuming.start_soon(consumer.run)
            background.cancel_scope.cancel()

    def stop(self) -> None:
        """Stop in good order: fetch no more, finish what runs, give back the rest."""
        if not self._stop.is_set():
            running = sum(consumer.runners.running for consumer in self.consumers)
            self._signals.send(Stopping(running, self.settings.grace))
            self._stop.set()

    def _fail(self, error: Exception) -> None:
        """Stop because of an error that every job would meet."""
        self._error = error
        self.stop()

    @property
    def stuck(self) -> int:
        """How many handlers run on although the worker has ended: they ignore their
        cancellation, and may keep the process from ending."""
        return sum(consumer.runners.stuck for consumer in self.consumers)

    @property
    def stopping(self) -> bool:
        """Whether the worker has been asked to stop."""
        return self._stop.is_set()

    @property
    def _finished(self) -> int:
        return sum(consumer.in_flight.finished for consumer in self.consumers)

    def _leave(self) -> None:
        running = sum(consumer.runners.running for consumer in self.consumers)
        self._signals.send(Leaving(running, self.settings.lease))

    async def _tell_of_loop(self) -> None:
        while True:
            self._signals.send(LoopAlive())
            self._tell_timings()
            await anyio.sleep(LOOP_ALIVE)

    def _tell_timings(self) -> None:
        if self._timings:
            self._signals.send(ScriptsRan(tuple(self._timings)))
            self._timings.clear()

    async def _pass_on_stop(self) -> None:
        await self._stop.wait()
        for consumer in self.consumers:
            consumer.stop()

    async def _hurry_batches(self) -> None:
        """Hand batches over that can get no more jobs: nothing else is left here to do."""
        if not any(consumer.runners.gathered for consumer in self.consumers):
            return
        if all([await consumer.only_gathers() for consumer in self.consumers]):
            for consumer in self.consumers:
                consumer.runners.hand_over()

    async def _watch_burst(self) -> None:
        while True:
            await anyio.sleep(BURST_POLL)
            finished = self._finished
            try:
                await self._hurry_batches()
                idle = all([await consumer.idle() for consumer in self.consumers])
            except StreamqError:
                continue  # the stages wait for the server, and so does this
            # A job that ended meanwhile may have emitted to a stream looked at before.
            if idle and finished == self._finished:
                break
        for consumer in self.consumers:
            consumer.stop()


def consumer_name() -> str:
    """A name that no other process has had: ``host-pid-random``."""
    host = re.sub(r"[^A-Za-z0-9_.-]", "_", socket.gethostname())[:64]
    return f"{host}-{os.getpid()}-{secrets.token_hex(3)}"


def check_found(
    found: Sequence[Subscription], groups: Sequence[str], streams: Sequence[str]
) -> None:
    """Check that an app has handlers for all groups and streams asked for.

    Raises:
        ConfigError: for one of them it has none, or none at all.
    """
    for what, wanted, known in (
        ("group", groups, {subscription.group for subscription in found}),
        ("stream", streams, {subscription.stream for subscription in found}),
    ):
        missing = [name for name in wanted if name not in known]
        if missing:
            raise ConfigError(f"the app has no handler for the {what} {missing[0]!r}")
    if not found:
        raise ConfigError("the app has no handlers: register one with @app.handler(...)")


def weighted(
    subscriptions: Sequence[Subscription], streams: Sequence[str] | Mapping[str, int]
) -> list[Subscription]:
    """The subscriptions with the weights of their streams.

    Args:
        streams: stream → weight, or streams without weights.
    """
    if not isinstance(streams, Mapping):
        return list(subscriptions)
    return [replace(one, weight=streams[one.stream]) for one in subscriptions]


def _shares(
    subscriptions: Sequence[Subscription], at_once: Sequence[int], strict: bool
) -> list[Share | None]:
    """The share that each has of its group's slots; ``None`` where each stream has its own."""
    found: list[Share | None] = [None] * len(subscriptions)
    if not strict and all(one.weight is None for one in subscriptions):
        return found
    for group in dict.fromkeys(one.group for one in subscriptions):
        places = [i for i, one in enumerate(subscriptions) if one.group == group]
        weights = [subscriptions[i].weight or 1 for i in places]
        shares = Shares(at_once[places[0]], weights, strict=strict)
        for i, share in zip(places, shares.members, strict=True):
            found[i] = share
    return found


def _check(subscriptions: Sequence[Subscription], max_jobs: int | None, strict: bool) -> None:
    if not subscriptions:
        raise ConfigError("nothing to consume: give a stream and a group, or an app with handlers")
    if max_jobs is not None and max_jobs < 1:
        raise ConfigError(f"max_jobs={max_jobs}: give one or more")
    weights = {one.stream: one.weight for one in subscriptions if one.weight is not None}
    for stream, weight in weights.items():
        if not isinstance(weight, int) or not 1 <= weight <= MAX_WEIGHT:
            raise ConfigError(
                f"the stream {printable(stream)}: weight {weight!r}: "
                f"give a whole number, 1 to {MAX_WEIGHT:,}"
            )
    if weights and len(weights) < len({one.stream for one in subscriptions}):
        raise ConfigError("some streams have a weight and some have none: give each one")
    if weights and strict:
        raise ConfigError("strict=True goes by the order of the streams: leave out their weights")
