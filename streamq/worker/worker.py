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
from anyio.abc import TaskGroup

from streamq.errors import ConfigError, StreamqError
from streamq.flow.rules import NO_RULES, Rules
from streamq.handlers.table import Handlers
from streamq.limits import MAX_WEIGHT
from streamq.partitions import Layout, Partitioned, finish, laid_out, read_layout
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
from streamq.worker.partitions import (
    Gate,
    Place,
    SignalsOfPartition,
    check_rules,
    of_partition,
    pause,
    places_of,
    shared_among,
    source_of,
)
from streamq.worker.pool import Pool
from streamq.worker.reconnect import Reconnect
from streamq.worker.retention import Retention
from streamq.worker.settings import Settings
from streamq.worker.shares import Share, Shares, Turns
from streamq.worker.shutdown import stop_on_signals

FIRST = "0"
"""Where a group begins that is to be given all."""

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
        partitioned: the streams that have partitions, as far as the program knows. All that the
            server knows of are found.

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
        partitioned: Mapping[str, Partitioned] | None = None,
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
        self._reconnect = Reconnect(self._signals)
        self._budget = Budget(max_jobs)
        self._subscriptions = subscriptions
        self._at_once = [s.concurrency or settings.concurrency for s in subscriptions]
        self._strict = strict
        self._partitioned = partitioned or {}
        self._layouts: dict[str, Layout] | None = None
        self._ending = False
        self._executors = Executors(sum(self._at_once), settings.processes or os.cpu_count() or 1)
        shares = _shares(subscriptions, self._at_once, strict)
        self.consumers = [
            self._consumer(one, concurrency, share)
            for one, concurrency, share in zip(subscriptions, self._at_once, shares, strict=True)
        ]

    def _consumer(
        self, subscription: Subscription, concurrency: int, share: Turns | None,
        place: Place | None = None,
    ) -> Consumer:  # fmt: skip
        """A consumer of a stream, or of one of its partitions."""
        stream, handlers, settings = subscription.stream, subscription.handlers, self.settings
        signals, schedules = self._signals, subscription.schedules
        key, partition = place or (stream, None)
        if self._layouts:
            handlers = of_partition(handlers, stream, partition, self._layouts)
            signals = SignalsOfPartition(signals, key, stream)
            if stream in self._layouts:
                settings = shared_among(settings, self._layouts[stream].partitions)
                schedules = schedules if partition == 0 else ()
        return Consumer(
            self.server, key, subscription.group, self.name,
            handlers=handlers, rules=subscription.rules, concurrency=concurrency,
            settings=settings, executors=self._executors, budget=self._budget,
            reconnect=self._reconnect, signals=signals, fatal=self._fail, schedules=schedules,
            share=share, partition=partition, timings=self._timings,
        )  # fmt: skip

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
            await self.prepare()
            for stream, named in {one.stream: one.named for one in self.consumers}.items():
                await self._retention.tell(self.server, stream, self._signals, named)
            await self._work(signals)
        finally:
            self._tell_timings()
            self._signals.send(Stopped())
            for consumer in self.consumers:
                await consumer.close()
            self._executors.close()
        if self._error is not None:
            raise self._error

    async def prepare(self) -> None:
        """Find the partitions of the streams, and make sure that the groups exist.

        Raises:
            StreamqError: as for :meth:`run`.
        """
        if self._layouts is None:
            await self._find_partitions()
        created: set[tuple[str, str]] = set()
        for consumer in self.consumers:
            await self._prepare(consumer, created)
        if self._layouts:
            # Of a stream that grew meanwhile, a new partition may lack a group that was made here.
            for consumer in await self._find_new_partitions():
                await consumer.prepare(FIRST)

    async def _prepare(self, consumer: Consumer, created: set[tuple[str, str]]) -> None:
        start = None
        if consumer.partition is not None and self.settings.start != FIRST:
            # A group that was there before the partition is to be given all that is in it.
            source = await source_of(self.server, consumer.stream)
            if source is not None and (source[0], consumer.group) not in created:
                start = FIRST
        if await consumer.prepare(start):
            created.add((consumer.stream, consumer.group))

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
                    consuming.start_soon(self._consume, consumer)
                if self._layouts:
                    background.start_soon(self._watch_partitions, consuming)
            background.cancel_scope.cancel()

    async def _consume(self, consumer: Consumer) -> None:
        if consumer.partition is None or await self._may_begin(consumer):
            await consumer.run()

    # -- partitions -----------------------------------------------------------

    async def _find_partitions(self) -> None:
        """Have a consumer for each partition of a stream that has some."""
        layouts: dict[str, Layout] = {}
        for stream in dict.fromkeys([*(s.stream for s in self._subscriptions), *self._partitioned]):
            declared = self._partitioned.get(stream)
            if declared is None:
                layout = await read_layout(self.server, stream)
            else:
                layout = await laid_out(self.server, stream, declared)
            if layout.partitions:
                layouts[stream] = layout
        self._layouts = layouts
        if not layouts:
            return
        shares: list[Turns | None] = [*_shares(self._subscriptions, self._at_once, self._strict)]
        self.consumers.clear()
        for one, concurrency, share in zip(self._subscriptions, self._at_once, shares, strict=True):
            if one.stream not in layouts:
                self.consumers.append(self._consumer(one, concurrency, share))
                continue
            check_rules(one.group, one.stream, one.rules)
            if share is None:
                share = Pool(concurrency).part()
            for i, place in enumerate(await places_of(self.server, layouts[one.stream])):
                own = share.part() if i else share
                self.consumers.append(self._consumer(one, concurrency, own, place))

    async def _find_new_partitions(self) -> list[Consumer]:
        """Have a consumer for each partition that there was not before, and return these."""
        assert self._layouts is not None
        found: list[Consumer] = []
        for stream, before in list(self._layouts.items()):
            layout = await read_layout(self.server, stream)
            if layout.growing and layout.growing == before.growing:
                layout = await finish(self.server, stream)  # whoever began with it has stopped
            places = await places_of(self.server, layout)
            self._layouts[stream] = layout
            for one, concurrency in zip(self._subscriptions, self._at_once, strict=True):
                if one.stream != stream:
                    continue
                its = [c for c in self.consumers if (c.named, c.group) == (stream, one.group)]
                share, known = its[0].share, {c.stream for c in its}
                for place in places:
                    if place.key not in known and share is not None:
                        own = share.part()
                        own.dry = True  # nobody is to wait for it before it is read
                        found.append(self._consumer(one, concurrency, own, place))
        self.consumers += found
        return found

    async def _watch_partitions(self, consuming: TaskGroup) -> None:
        while True:
            await anyio.sleep(pause())
            try:
                found = await self._find_new_partitions()
            except StreamqError:
                continue  # the stages wait for the server, and so does this
            for consumer in found:
                if not self._ending:
                    consuming.start_soon(self._consume, consumer)

    async def _may_begin(self, consumer: Consumer) -> bool:
        """Wait until the group may begin with a partition; ``False`` when the worker stops."""
        rules = next(
            one.rules for one in self._subscriptions
            if (one.stream, one.group) == (consumer.named, consumer.group)
        )  # fmt: skip
        gate = Gate(self.server, consumer.stream, consumer.group, rules)
        while not self._ending:
            try:
                await consumer.prepare(FIRST)  # of one that was found while the worker runs
                if await gate.is_open():
                    return True
            except StreamqError:
                pass  # the other consumers say so
            if consumer.share is not None:
                consumer.share.looked(dry=True)
            await gate.wait(self._stop)
        return False

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
        self._ending = True
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
        self._ending = True
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
