"""Handlers run inline, without a server: by the worker's own runners."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from streamq.errors import ConfigError
from streamq.new_job import NewJob
from streamq.offload import largest_payload
from streamq.server import Clock
from streamq.signals import Signals
from streamq.testing.handled import Emitted, Handled
from streamq.verdict import Outcome, Verdict
from streamq.wire.keys import group_keys
from streamq.worker.executors import Executors
from streamq.worker.inflight import InFlight
from streamq.worker.runners import Runners
from streamq.worker.worker import Subscription

if TYPE_CHECKING:
    from streamq.app import App
    from streamq.event import Event

__all__ = ["Emitted", "Handled", "Inline", "handle"]


async def handle(
    app: App,
    type: str | Event,
    data: Mapping[str, Any] | None = None,
    /,
    *,
    group: str | None = None,
    stream: str | None = None,
    attempt: int = 1,
    **options: Any,
) -> Handled:
    """Give one job to the handler of one group, as a worker would, without a server.

    Its arguments are bound and validated, its middleware and timeout apply, and what it
    returned, raised and emitted comes back as the worker would see it. Nothing is written.

    Args:
        type: the job type, or an event in place of type and data.
        data: the data.
        group: which group; needed only where the app has several for the stream.
        stream: the app's own by default.
        attempt: which attempt it is.
        options: ``key``, ``trace`` and ``expires`` as for :meth:`streamq.App.produce`.

    Raises:
        ConfigError: the app has no such group.
        LookupError: it has several, and none is named.
    """
    stream = stream or app.stream
    found = app.subscriptions([group] if group else [], [stream])
    if len(found) > 1:
        names = ", ".join(subscription.group for subscription in found)
        raise LookupError(f"say which group is meant with group=: {names}")
    fields = _fields(app, NewJob(type, data, **options))
    return Handled.of(await _run(found[0], f"{int(time.time() * 1000)}-0", fields, attempt))


class Inline:
    """A whole app run inline, without a server.

    A job goes to every group of its stream, a failed one again until its retries are used up,
    without waiting, and what handlers emit is handled after it::

        inline = testing.Inline(app)
        done = await inline.produce("photo_added", {"file": "a.png"})
        assert [one.type for one in done] == ["photo_added", "photo_added", "thumbnail_ready"]

    Attributes:
        handled: all that was handled so far, in order.
    """

    def __init__(self, app: App) -> None:
        self.handled: list[Handled] = []
        self._app = app
        self._sequence = 0

    async def produce(
        self,
        type: str | Event,
        data: Mapping[str, Any] | None = None,
        /,
        *,
        stream: str | None = None,
        priority: str | None = None,
        **options: Any,
    ) -> list[Handled]:
        """Handle a job and all that follows from it; return what became of each delivery.

        Args:
            options: ``key``, ``trace`` and ``expires`` as for :meth:`streamq.App.produce`.

        Raises:
            ConfigError: the app has no handlers for the stream.
        """
        before = len(self.handled)
        target = self._app.priorities.choose(stream, priority) or self._app.stream
        self._app.subscriptions(streams=[target])  # says so when nothing handles it
        waiting = deque([(target, _fields(self._app, NewJob(type, data, **options)))])
        while waiting:
            target, fields = waiting.popleft()
            self._sequence += 1
            id = f"{int(time.time() * 1000)}-{self._sequence}"
            for subscription in self._of(target):
                verdict = await self._until_settled(subscription, id, fields)
                waiting += [(e.stream, _as_bytes(e.fields)) for e in verdict.job.emitted or ()]
        return self.handled[before:]

    def _of(self, stream: str) -> list[Subscription]:
        try:
            return self._app.subscriptions(streams=[stream])
        except ConfigError:
            return []  # an event for another app's stream

    async def _until_settled(
        self, subscription: Subscription, id: str, fields: list[bytes]
    ) -> Verdict:
        attempt = 0
        while True:
            attempt += 1
            verdict = await _run(subscription, id, fields, attempt)
            self.handled.append(Handled.of(verdict))
            if verdict.outcome is not Outcome.RETRY:
                return verdict


async def _run(subscription: Subscription, id: str, fields: list[bytes], attempt: int) -> Verdict:
    """Give one delivery to a runner, and wait for its verdict."""
    settled: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
    in_flight = InFlight(1, 0)
    runners = Runners(
        group_keys(subscription.stream, subscription.group), "inline",
        in_flight=in_flight, handlers=subscription.handlers,
        executors=Executors(1, os.cpu_count() or 1), put=settled.set_result, keep_results=True,
        clock=Clock(), signals=Signals(), fatal=settled.set_exception,
    )  # fmt: skip
    in_flight.take([(id, fields, attempt)])
    runners.no_more()  # a batch of one
    runners.wake()
    try:
        return await settled
    finally:
        await runners.close()


def _fields(app: App, job: NewJob) -> list[bytes]:
    """The fields of its entry, as the server would hand them out."""
    return _as_bytes(job.fields(largest_payload(None, app.offload), app.codec))


def _as_bytes(fields: Sequence[str | bytes | int]) -> list[bytes]:
    return [part if isinstance(part, bytes) else str(part).encode() for part in fields]
