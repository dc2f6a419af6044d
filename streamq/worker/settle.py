"""The last stage: verdicts to the server, as many in one script call as have gathered.

A call takes what came while another was in flight (group commit): at low load nothing
waits, at high load the batches grow by themselves. Where many come, a second call follows
before the first is answered, so that the server need not wait for the worker.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from math import inf
from typing import Any

import anyio

from streamq import lua
from streamq.errors import (
    AuthenticationFailed,
    GroupNotFound,
    OutcomeUnknown,
    ServerRefused,
    ServerUnavailable,
)
from streamq.server import Clock, Link
from streamq.signals import Refused, Settled, Signals, Vanished
from streamq.text import printable
from streamq.verdict import Outcome, Verdict
from streamq.wire.keys import GroupKeys
from streamq.worker.inflight import InFlight
from streamq.worker.reconnect import Reconnect
from streamq.worker.settle_call import emitted, settle_call

MOST = 500
"""The most verdicts in one call; Lua's ``unpack`` takes a few thousand values."""

FULL = 250
"""Verdicts that are worth one more call while another is in flight: those of a whole read."""

_PARKED = (Outcome.RETRY, Outcome.RELEASED)


class Settler:
    """Applies verdicts for one consumer.

    Args:
        links: the connections for its calls, one for each that may be in flight; closed
            by the owner.
        result_ttl: seconds for which a finished job's record is kept; 0 leaves none.
        clock: how far the server's clock is ahead of ours.
        parked: called with the seconds until a retry that was parked is due.
        settled: called with what the server has settled.
    """

    def __init__(
        self,
        keys: GroupKeys,
        consumer: str,
        *,
        links: Sequence[Link],
        in_flight: InFlight,
        result_ttl: float,
        clock: Clock,
        reconnect: Reconnect,
        signals: Signals,
        parked: Callable[[float], None],
        settled: Callable[[Sequence[Verdict]], None] = lambda verdicts: None,
    ) -> None:
        self._settled = settled
        self._keys = keys
        self._stage = f"settle {keys.stream} {keys.group}"
        self._consumer = consumer
        self._links = links
        self._taken = in_flight
        self._record_ttl = int(result_ttl * 1000)
        self._clock = clock
        self._reconnect = reconnect
        self._signals = signals
        self._parked = parked
        self._gathered: list[Verdict] = []
        self._idle: dict[int, asyncio.Future[None]] = {}
        self._enough = inf
        """How many verdicts are enough for one more call now."""
        self._in_flight: dict[int, Sequence[tuple[str, int]]] = {}
        self._in_doubt: set[tuple[str, int]] = set()
        """Those whose settling may have been carried out, by a call whose reply was lost."""

    def put(self, verdict: Verdict) -> None:
        """Hand in a verdict; it goes with the next call."""
        self._gathered.append(verdict)
        if len(self._gathered) >= self._enough:
            self._begin()

    @property
    def unsettled(self) -> int:
        """How many verdicts have been handed in and are not known to be settled."""
        return len(self._gathered) + sum(map(len, self._in_flight.values()))

    def may_have_settled(self, delivery: tuple[str, int]) -> bool:
        """Whether the server may have settled a delivery, by a call that has had no reply yet.

        Args:
            delivery: entry ID and delivery count.
        """
        in_flight = self._in_flight.values()
        return delivery in self._in_doubt or any(delivery in call for call in in_flight)

    async def run(self) -> None:
        """Settle what comes in, until cancelled."""
        async with anyio.create_task_group() as calls:
            for number in range(len(self._links)):
                calls.start_soon(self._serve, number)

    async def _serve(self, number: int) -> None:
        while True:
            await self._turn(number)
            batch, self._gathered = self._gathered[:MOST], self._gathered[MOST:]
            if batch:  # another call may have been quicker
                await self._settle(batch, number)

    async def _turn(self, number: int) -> None:
        """Wait until there is enough for one more call."""
        idle = self._idle[number] = asyncio.get_running_loop().create_future()
        self._plan()
        if len(self._gathered) >= self._enough:
            self._begin()
        try:
            await idle
        finally:
            if self._idle.pop(number, None):
                self._plan()

    def _begin(self) -> None:
        # The first connection, where it can be: with little to do the second is not opened.
        idle = self._idle.pop(min(self._idle))
        if not idle.done():  # cancelled, that is
            idle.set_result(None)
        self._plan()

    def _plan(self) -> None:
        in_flight = len(self._links) - len(self._idle)
        self._enough = inf if not self._idle else FULL if in_flight else 1

    async def _settle(self, batch: Sequence[Verdict], number: int) -> None:
        call = settle_call(self._keys, self._consumer, self._record_ttl, self._clock.ahead, batch)
        deliveries = [(verdict.job.id, verdict.job.attempt) for verdict in batch]
        self._in_flight[number] = deliveries

        async def send() -> list[Any] | None:
            sent = time.monotonic()
            try:
                reply = await self._run(call, number)
            except GroupNotFound:
                # The group is gone, and with it every claim to these entries.
                return [part for i in range(len(batch)) for part in (i + 1, b"")]
            except OutcomeUnknown:
                self._in_doubt.update(deliveries)
                raise
            except (AuthenticationFailed, ServerRefused) as error:
                if error.passing or not any(map(emitted, batch)):
                    raise
                # A target out of reach, by the ACL or in another slot of a Cluster, has
                # the whole call refused: one job must not hold up all others for ever.
                return [1, f"!emit{error}".encode()] if len(batch) == 1 else None
            self._taken.trip = time.monotonic() - sent
            return reply

        reply = await self._reconnect.persist(f"{self._stage} {number}", send)
        if reply is None:
            for verdict in batch:
                await self._settle([verdict], number)
            return
        refused = {
            position - 1: why.decode("utf-8", "backslashreplace")  # who holds it may be anybody
            for position, why in zip(reply[::2], reply[1::2], strict=True)
        }
        if self._in_doubt:
            refused = {
                i: why
                for i, why in refused.items()
                if deliveries[i] not in self._in_doubt or not _applied(batch[i], why)
            }
            self._in_doubt.difference_update(deliveries)
        self._taken.let_go(deliveries)
        del self._in_flight[number]
        if refused:
            self._tell_refused(batch, refused)
            batch = [verdict for i, verdict in enumerate(batch) if i not in refused]
        delays = [verdict.delay for verdict in batch if verdict.outcome in _PARKED]
        if delays:
            self._parked(min(delays))
        if batch:
            self._settled(batch)
            self._signals.send(Settled(batch))

    async def _run(self, call: lua.Call, number: int) -> list[Any]:
        try:
            reply: list[Any] = await self._links[number].run(call)
        except ServerUnavailable as error:
            if number == 0 or isinstance(error, OutcomeUnknown):
                raise
            # There may be no room for one more client: the first connection does as well.
            reply = await self._links[0].run(call)
        return reply

    def _tell_refused(self, batch: Sequence[Verdict], refused: dict[int, str]) -> None:
        for i, why in refused.items():
            verdict = batch[i]
            if why == "!deleted":
                job_ids = [verdict.job.id]
                self._signals.send(Vanished(self._keys.stream, self._keys.group, job_ids))
            elif why.startswith("!emit"):
                self.put(_unsent(verdict, why.removeprefix("!emit")))
                self._taken.hold(verdict.job.id, verdict.job.attempt)
            else:
                self._signals.send(Refused(verdict, printable(why.removeprefix("="))))


def _applied(verdict: Verdict, why: str) -> bool:
    """Whether a refusal looks like the verdict's own earlier application."""
    if verdict.outcome in _PARKED:
        # Whose it is by now, or that it is settled, tells nothing: it may have been due since.
        return not why.startswith("!")
    return why == ""


def _unsent(verdict: Verdict, why: str) -> Verdict:
    """The verdict on a job whose events could not be written: dead, and it says why."""
    targets = ", ".join(sorted({event.stream for event in verdict.job.emitted or ()}))
    verdict.job.emitted = None
    dead = Verdict(verdict.job, Outcome.DEAD, verdict.started, verdict.finished)
    dead.reason = "emit failed"
    why = printable(why, 300) or f"one of the keys {targets} is not a stream"
    dead.error = f"an event could not be written: {why}"
    return dead
