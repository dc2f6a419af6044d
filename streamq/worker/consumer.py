"""One consumer of one group on one stream: the three stages and the heartbeat, joined.

fetch ─▶ in flight ─▶ runners ─▶ verdicts ─▶ settle
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

import anyio

from streamq import lua
from streamq.errors import GroupNotFound, OutcomeUnknown, StreamqError
from streamq.flow.rules import Rules
from streamq.handlers.table import Handlers
from streamq.offload import store_of
from streamq.produce.periodic import Schedule
from streamq.server import Server
from streamq.server.group import create_group
from streamq.server.link import REPLY_TIMEOUT
from streamq.server.replies import lacks_rights
from streamq.signals import GroupCreated, Signals
from streamq.verdict import Verdict
from streamq.wire.entry import after
from streamq.wire.keys import GroupKeys, group_keys, stream_keys
from streamq.wire.version import check_version
from streamq.worker.budget import Budget
from streamq.worker.control import Control
from streamq.worker.executors import Executors
from streamq.worker.fetch import BLOCK, Fetcher
from streamq.worker.heartbeat import Heartbeat
from streamq.worker.inflight import InFlight
from streamq.worker.offloaded import Offloaded
from streamq.worker.progress import ProgressNotes
from streamq.worker.promoter import Promoter
from streamq.worker.reconnect import Reconnect
from streamq.worker.runners import STUCK_AFTER, Runners
from streamq.worker.settings import Settings
from streamq.worker.settle import Settler
from streamq.worker.shares import Turns
from streamq.worker.slot import Cause
from streamq.worker.sources import Context

CLOSE_TIMEOUT = 3.0
"""Seconds that each last call to the server may take while the worker stops."""

POLL = 0.02
"""Seconds between looks at whether the cancelled handlers have ended."""

MIN_TIMEOUT = 1.0
"""Seconds without a reply before which no connection counts as broken."""

_log = logging.getLogger(__name__)


class Consumer:
    """Consumes one stream for one group.

    Args:
        name: the consumer's name, which no other process ever uses.
        fatal: called with an error that ends the worker.
        schedules: the periodic jobs that are in the code.
        share: the stream's share of the group's slots, where streams share them.
        partition: the number, where it is one of a stream's.
        timings: where to note how long scripts take; ``None`` where nobody asks.
    """

    def __init__(
        self,
        server: Server,
        stream: str,
        group: str,
        name: str,
        *,
        handlers: Handlers,
        rules: Rules,
        concurrency: int,
        settings: Settings,
        executors: Executors,
        budget: Budget,
        reconnect: Reconnect,
        signals: Signals,
        fatal: Callable[[Exception], None],
        schedules: Sequence[Schedule] = (),
        share: Turns | None = None,
        partition: int | None = None,
        timings: list[tuple[str, float]] | None = None,
    ) -> None:
        self.stream, self.group, self.name = stream, group, name
        self.partition, self.share = partition, share
        self.named = handlers.job.named or stream
        self.keys: GroupKeys = group_keys(stream, group)
        control = Control(rules)
        self.in_flight = InFlight(
            concurrency, settings.prefetch, handlers.largest_batch,
            waits=handlers.may_wait and not control.rules, ended=lambda: self.settler.unsettled,
            places=None if share is None else lambda: share.places,
        )  # fmt: skip
        self._settings = settings
        self._signals = signals
        self._fetching: anyio.CancelScope | None = None
        self._prepared = False
        self._where = server.where
        # One connection for reads that block, one for everything else. Each is given up
        # early enough for a heartbeat on the next one to save the leases.
        timeout = min(max(settings.lease / 2, MIN_TIMEOUT), REPLY_TIMEOUT)
        self._reading = server.link(name, timeout)
        self._writing = server.link(name, timeout)
        settling = [self._writing]
        if settings.result_ttl > 0:
            # For a second call, opened when there is one. Without records the worker is the
            # slower side, and it would only be more to do.
            settling.append(server.link(name, timeout))
        self._links = (self._reading, *settling)
        for link in self._links:
            link.timings = timings
        context = Context(
            self.keys, name, self._reading, self.in_flight, handlers, settings.lease, control,
            signals, alive=lambda: self._heartbeat.alive,
            cancel=lambda ids: self.runners.cancel(Cause.CANCELLED, ids), fatal=fatal,
            schedules=schedules, history=settings.history,
            record_ttl=int(settings.result_ttl * 1000),
        )  # fmt: skip
        self.fetcher = Fetcher(
            context, budget=budget, reconnect=reconnect,
            wake=lambda: self.runners.wake(), release=lambda: self.runners.release_waiting(),
            no_more=lambda: self.runners.no_more(), share=share,
        )  # fmt: skip
        store = store_of(handlers.job.offload)
        self._offloaded = Offloaded(server, stream, store, reconnect)
        self._progress = ProgressNotes(
            self.keys, name, link=self._writing, in_flight=self.in_flight
        )
        self.settler = Settler(
            self.keys, name, links=settling, in_flight=self.in_flight,
            result_ttl=settings.result_ttl, history=settings.history, clock=server.clock,
            reconnect=reconnect, signals=signals, control=control, fetcher=self.fetcher,
            progress=self._progress, settled=self._note_offloaded,
        )  # fmt: skip
        self.runners = Runners(
            self.keys, name, in_flight=self.in_flight, handlers=handlers, executors=executors,
            put=self.settler.put, keep_results=settings.result_ttl > 0, clock=server.clock,
            signals=signals, fatal=fatal, share=share, load=self._offloaded.load,
        )  # fmt: skip
        self.promoter = Promoter(
            stream, link=self._writing, reconnect=reconnect, signals=signals,
            heard=self.fetcher.ticks.heard,
        )  # fmt: skip
        self._heartbeat = Heartbeat(
            self.keys, name, link=self._writing, in_flight=self.in_flight, lease=settings.lease,
            reconnect=reconnect, signals=signals,
            lost=lambda ids: self.runners.cancel(Cause.LEASE_LOST, ids),
            may_have_settled=self.settler.may_have_settled,
        )  # fmt: skip

    async def prepare(self, start: str | None = None) -> bool:
        """Make sure that the group exists; once, for from then on a lost server is waited for.

        Args:
            start: where it starts if it does not; ``None`` for where the settings say.

        Returns:
            Whether it was made.

        Raises:
            WrongKeyType: the stream's key holds something else.
            AuthenticationFailed: the user lacks a permission; it says which.
            DataTooNew: a newer streamq works with the stream.
            StreamqError: the server cannot be used.
        """
        if self._prepared:
            return False
        keys = stream_keys(self.stream)
        missing = await self._writing.run(lua.rights(self.keys, keys))
        if missing:
            raise lacks_rights(self._where, missing)
        flat = await self._writing.run(lua.settings(keys))
        check_version(dict(zip(flat[::2], flat[1::2], strict=True)), self.stream)
        start = self._settings.start if start is None else start
        created = await create_group(self._writing, self.stream, self.group, start)
        if created:
            self._signals.send(GroupCreated(self.stream, self.group, again=False))
        self._prepared = True
        return created

    async def run(self) -> None:
        """Consume until :meth:`stop`; then give back, finish, settle, and leave no trace."""
        self._progress.open()
        try:
            async with anyio.create_task_group() as background:
                background.start_soon(self.settler.run)
                background.start_soon(self._heartbeat.run)
                background.start_soon(self.promoter.run)
                background.start_soon(self._offloaded.run)
                with anyio.CancelScope() as self._fetching:
                    await self.fetcher.run()
                self.promoter.stop()
                self.runners.give_back()
                await self._drain()
                background.cancel_scope.cancel()
        finally:
            # Also when cancelled: what they went on with would never be settled.
            with anyio.CancelScope(shield=True):
                await self.runners.close()
                await self._progress.close()
        with anyio.move_on_after(CLOSE_TIMEOUT):
            await self._offloaded.delete()
        await self._retire()

    def _note_offloaded(self, verdicts: Sequence[Verdict]) -> None:
        if self.runners.have_offloaded:
            self._offloaded.settled(verdicts)

    async def close(self) -> None:
        """Close the connections."""
        for link in self._links:
            await link.close()

    def stop(self) -> None:
        """Begin to stop."""
        self.fetcher.stop()
        self.promoter.stop()
        self.runners.give_back()
        # A read under way ends by itself, if the server answers.
        asyncio.get_running_loop().call_later(BLOCK + CLOSE_TIMEOUT, self._cut_off)

    def _cut_off(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()

    async def idle(self) -> bool:
        """Whether the group has nothing due, queued, retrying or pending, with any consumer.

        Raises:
            StreamqError: the server did not answer.
        """
        caught_up = self.promoter.caught_up and self.fetcher.ticks.caught_up
        if len(self.in_flight) or not caught_up:
            return False
        try:
            # In this order: what leaves the queue in between becomes pending.
            return not await self._queued() and not await self._pending()
        except GroupNotFound:
            return False  # the fetcher will make it again

    async def only_gathers(self) -> bool:
        """Whether all that this consumer has or may yet read is in batches that gather.

        Raises:
            StreamqError: the server did not answer.
        """
        count = len(self.in_flight)
        if count != self.runners.gathered:
            return False
        try:
            # In this order: what leaves the queue in between is this consumer's, or another's.
            return not await self._queued() and await self._owned() == count
        except GroupNotFound:
            return False

    async def _queued(self) -> bool:
        for flat in await self._writing.call("XINFO", "GROUPS", self.stream):
            group = dict(zip(flat[::2], flat[1::2], strict=True))
            if group[b"name"] == self.group.encode():
                start = after(group[b"last-delivered-id"].decode())
                if start is None:
                    return False
                found = await self._writing.call("XRANGE", self.stream, start, "+", "COUNT", 1)
                return bool(found)
        raise GroupNotFound(f"the stream {self.stream} has no group {self.group}")

    async def _pending(self) -> bool:
        return bool(await self._writing.call("XPENDING", self.stream, self.group, "-", "+", 1))

    async def _owned(self) -> int:
        """How many pending entries are this consumer's, those included that are on their way."""
        *_, consumers = await self._writing.call("XPENDING", self.stream, self.group)
        return sum(int(count) for name, count in consumers or () if name == self.name.encode())

    async def _drain(self) -> None:
        """Wait for the running handlers and their verdicts; then cancel what is left."""
        with anyio.move_on_after(self._settings.grace):
            await self.in_flight.empty()
        self.runners.cancel(Cause.SHUTDOWN)
        with anyio.move_on_after(STUCK_AFTER + POLL):
            # Once in a worker's life; an event for it would cost something at every job.
            while self.runners.running:  # noqa: ASYNC110  # no event tells
                await anyio.sleep(POLL)
        with anyio.move_on_after(CLOSE_TIMEOUT):
            await self.in_flight.empty()
        if len(self.in_flight):
            _log.warning(
                "%d jobs of %s could not be settled; they are reclaimed in %g s",
                len(self.in_flight), self.group, self._settings.lease,
            )  # fmt: skip

    async def _retire(self) -> None:
        try:
            if len(self.in_flight):
                return
            with anyio.move_on_after(CLOSE_TIMEOUT):
                try:
                    await self._leave_group()
                except OutcomeUnknown:
                    await self._leave_group()  # over a new connection
        except StreamqError:
            pass  # a consumer that holds nothing is removed by the others, later
        finally:
            await self.close()

    async def _leave_group(self) -> None:
        # What the server gave away and never reached us is not ours to keep.
        await self._writing.run(lua.release(self.keys, self.name, 1000))
        await self._writing.run(lua.retire(self.keys, self.name))
