"""The last stage: verdicts to the server, as many in one script call as have gathered.

A call takes what came while another was in flight (group commit): at low load nothing
waits, at high load the batches grow by themselves. Where many come, a second call follows
before the first is answered, so that the server need not wait for the worker.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
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
from streamq.verdict import Outcome, Verdict, unsent
from streamq.wire.keys import GroupKeys
from streamq.worker.control import Control
from streamq.worker.fetch import Fetcher
from streamq.worker.inflight import InFlight
from streamq.worker.progress import ProgressNotes
from streamq.worker.reconnect import Reconnect
from streamq.worker.settle_call import TooLarge, emitted, settle_call, weight

MOST = 500
"""The most verdicts in one call; Lua's ``unpack`` takes a few thousand values."""

FULL = 250
"""Verdicts that are worth one more call while another is in flight: those of a whole read."""

LOSSES = 3
"""Connections lost at the same large call after which it is not sent again as it is."""

SUSPECT = 1024 * 1024
"""Bytes of a call at which its size may be the reason: no server's limit is smaller."""

_PARKED = (Outcome.RETRY, Outcome.RELEASED)


class Settler:
    """Applies verdicts for one consumer.

    Args:
        links: the connections for its calls, one for each that may be in flight; closed
            by the owner.
        result_ttl: seconds for which a finished job's record is kept; 0 leaves none.
        history: how many of a job's attempts its record remembers.
        clock: how far the server's clock is ahead of ours.
        control: the rules of the group.
        fetcher: takes what may run next by these rules, and learns of parked retries.
        progress: knows of which jobs it is noted how far they are.
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
        history: int,
        clock: Clock,
        reconnect: Reconnect,
        signals: Signals,
        control: Control,
        fetcher: Fetcher,
        progress: ProgressNotes,
        settled: Callable[[Sequence[Verdict]], None] = lambda verdicts: None,
    ) -> None:
        self._settled = settled
        self._keys = keys
        self._stage = f"settle {keys.stream} {keys.group}"
        self._consumer = consumer
        self._links = links
        self._taken = in_flight
        self._record_ttl = int(result_ttl * 1000)
        self._history = history
        self._clock = clock
        self._reconnect = reconnect
        self._signals = signals
        self._control = control
        self._fetcher = fetcher
        self._progress = progress
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

    async def _settle(self, batch: list[Verdict], number: int) -> None:
        rules = self._control.rules
        batch, call = self._call(batch, rules)
        admits = bool(rules)
        deliveries = [(verdict.job.id, verdict.job.attempt) for verdict in batch]
        self._in_flight[number] = deliveries

        losses = 0
        turn = 0

        async def send() -> tuple[Sequence[Any], Sequence[Any]] | None:
            nonlocal losses, turn
            sent, turn = time.monotonic(), self._fetcher.turn
            try:
                reply = await self._run(call, number, admits)
            except GroupNotFound:
                # The group is gone, and with it every claim to these entries.
                return [part for i in range(len(batch)) for part in (i + 1, b"")], ()
            except OutcomeUnknown as error:
                self._in_doubt.update(deliveries)
                self._fetcher.suspect()
                losses += 1
                if losses < LOSSES or not await self._too_large(batch, number):
                    raise
                return _refused_one(error) if len(batch) == 1 else None
            except (AuthenticationFailed, ServerRefused) as error:
                if error.passing or not any(map(emitted, batch)):
                    raise
                # A target out of reach, by the ACL or in another slot of a Cluster, has
                # the whole call refused: one job must not hold up all others for ever.
                return _refused_one(error) if len(batch) == 1 else None
            self._taken.trip = time.monotonic() - sent
            return reply

        reply = await self._reconnect.persist(f"{self._stage} {number}", send)
        if reply is None:
            for verdict in batch:
                await self._settle([verdict], number)
            return
        refusals, given = reply
        refused = {
            position - 1: why.decode("utf-8", "backslashreplace")  # who holds it may be anybody
            for position, why in zip(refusals[::2], refusals[1::2], strict=True)
        }
        if self._in_doubt:
            refused = {
                i: why
                for i, why in refused.items()
                if deliveries[i] not in self._in_doubt or not _applied(batch[i], why)
            }
            self._in_doubt.difference_update(deliveries)
        self._taken.let_go(deliveries)
        if self._progress.told:
            self._progress.settled(deliveries)
        del self._in_flight[number]
        if given:
            self._fetcher.give([(id.decode(), fields, count) for id, fields, count in given], turn)
        self._control.free()
        if refused:
            self._tell_refused(batch, refused)
            batch = [verdict for i, verdict in enumerate(batch) if i not in refused]
        delays = [verdict.delay for verdict in batch if verdict.outcome in _PARKED]
        if delays:
            self._fetcher.retries.due_in(min(delays))
        if batch:
            self._settled(batch)
            self._signals.send(Settled(batch))

    def _call(self, batch: list[Verdict], rules: str) -> tuple[list[Verdict], lua.Call]:
        """The call for as much of a batch as it may carry; the rest is for the next one."""
        try:
            call, taken = settle_call(
                self._keys, self._consumer, self._record_ttl, self._clock.ahead, batch,
                make=self._with_rules(rules, len(batch)) if rules else lua.settle,
                noted=self._progress.over(batch) if self._progress.told else (),
                history=self._history,
            )  # fmt: skip
        except TooLarge as error:
            place = batch.index(error.verdict)
            batch[place] = unsent(error.verdict, str(error))
            return self._call(batch, rules)
        if taken < len(batch):
            batch, self._gathered = batch[:taken], batch[taken:] + self._gathered
        return batch, call

    def _with_rules(self, rules: str, count: int) -> Callable[..., lua.Call]:
        return partial(lua.settle_and_admit, rules, count if self._fetcher.takes else 0)

    async def _too_large(self, batch: Sequence[Verdict], number: int) -> bool:
        """Whether it seems to be the size of a call that the server does not take.

        It answers a small one, and has closed the connection at this one again and again.
        """
        if sum(map(weight, batch)) < SUSPECT:
            return False
        try:
            await self._links[number].call("PING")
        except ServerUnavailable:
            return False
        return True

    async def _run(
        self, call: lua.Call, number: int, admits: bool
    ) -> tuple[Sequence[Any], Sequence[Any]]:
        """What was refused, and what may run next."""
        try:
            reply: list[Any] = await self._links[number].run(call)
        except ServerUnavailable as error:
            if number == 0 or isinstance(error, OutcomeUnknown):
                raise
            # There may be no room for one more client: the first connection does as well.
            reply = await self._links[0].run(call)
        return (reply[0], reply[1]) if admits else (reply, ())

    def _tell_refused(self, batch: Sequence[Verdict], refused: dict[int, str]) -> None:
        for i, why in refused.items():
            verdict = batch[i]
            if why == "!deleted":
                job_ids = [verdict.job.id]
                self._signals.send(Vanished(self._keys.stream, self._keys.group, job_ids))
            elif why.startswith("!emit"):
                self.put(unsent(verdict, why.removeprefix("!emit")))
                self._taken.hold(verdict.job.id, verdict.job.attempt)
            else:
                self._signals.send(Refused(verdict, printable(why.removeprefix("="))))


def _applied(verdict: Verdict, why: str) -> bool:
    """Whether a refusal looks like the verdict's own earlier application."""
    if verdict.outcome in _PARKED:
        # Whose it is by now, or that it is settled, tells nothing: it may have been due since.
        return not why.startswith("!")
    return why == ""


def _refused_one(error: Exception) -> tuple[Sequence[Any], Sequence[Any]]:
    """The reply to a call of a single verdict whose events cannot be written."""
    return (1, f"!emit{error}".encode()), ()
