"""A worker in this process that drains a real server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from streamq.signals import Settled, Signal
from streamq.testing.handled import Handled
from streamq.worker import Settings

if TYPE_CHECKING:
    from streamq.app import App


async def drain(
    app: App,
    *,
    groups: Sequence[str] = (),
    streams: Sequence[str] = (),
    settings: Settings | None = None,
) -> list[Handled]:
    """Work until nothing is queued, retrying or pending; return what became of each delivery.

    Retries are waited for: give the handlers of a test a short backoff.

    Args:
        groups: only these; all groups of the app by default.
        streams: only these; all that the handlers are for by default.
        settings: concurrency, lease and the like.

    Raises:
        StreamqError: the server cannot be used, or the app has no such group.
    """
    handled: list[Handled] = []

    def observe(signal: Signal) -> None:
        if isinstance(signal, Settled):
            handled.extend(map(Handled.of, signal.verdicts))

    await app.worker(
        groups=groups, streams=streams, settings=settings, observers=[observe], burst=True
    ).run()
    return handled
