"""What is done and said before a worker consumes, alone or in several processes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from streamq.text import printable

if TYPE_CHECKING:
    from streamq.cli.consume.plan import Plan
    from streamq.observe.prometheus import Metrics
    from streamq.server import Server
    from streamq.worker import Subscription, Worker

_log = logging.getLogger("streamq")


async def warn(server: Server) -> None:
    """Log the settings of the server under which jobs could be lost."""
    for warning in (await server.info()).warnings:
        _log.warning("%s", warning)


async def prepare(worker: Worker) -> None:
    """Create the groups now, so that what cannot work is said before "Consuming"."""
    try:
        await worker.prepare()
    finally:
        for consumer in worker.consumers:
            await consumer.close()


def announce(
    plan: Plan, server: Server, subscriptions: Sequence[Subscription], metrics: Metrics | None
) -> None:
    """Log what is consumed, from where."""
    what = ", ".join(map(_named, subscriptions))
    _log.info(
        "Consuming %s%s from %s, %d at once%s%s",
        what,
        ", in this order," if plan.strict else "",
        "the embedded server" if server.embedded else server.where,
        plan.settings.concurrency,
        f" in each of {plan.processes} processes" if plan.processes > 1 else "",
        f"; metrics: {metrics.url}" if metrics is not None and metrics.url else "",
    )
    if plan.prints:
        _log.info(
            "No --app and no --exec: each job is printed and done with (it counts as succeeded); "
            "to look without taking jobs: streamq pending"
        )


def _named(one: Subscription) -> str:
    weight = "" if one.weight is None else f" (weight {one.weight})"
    return f"{printable(one.stream)} as {one.group}{weight}"
