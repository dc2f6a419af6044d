"""The worker of one process, whether alone or one of several."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from streamq.cli.consume.logs import announce, warn
from streamq.cli.consume.tally import Tally
from streamq.observe.log import LogObserver
from streamq.process.gc import collect_less
from streamq.programs.command import end_programs

if TYPE_CHECKING:
    from streamq.cli.consume.plan import Plan
    from streamq.cli.consume.printing import Output
    from streamq.cli.consume.processes import Place
    from streamq.observe.prometheus import Metrics
    from streamq.server import Server
    from streamq.signals import Observer
    from streamq.worker import Subscription, Worker

_log = logging.getLogger("streamq")


async def work_alone(plan: Plan, output: Output) -> None:
    """Work until a signal, the end of a burst, or the last of so many jobs."""
    async with plan.server() as server:
        subscriptions = plan.subscriptions()
        await warn(server)
        tally = Tally()
        observers: list[Observer] = [LogObserver(), tally, end_programs]
        metrics = _metrics(plan, server, subscriptions)
        if metrics is not None:
            observers.append(metrics)
        try:
            worker = plan.worker(server, subscriptions, observers)
            output.on_broken = partial(_nobody_reads, worker)
            await prepare(worker)
            announce(plan, server, subscriptions, metrics)
            collect_less()
            await worker.run(signals=True)
        finally:
            if metrics is not None:
                metrics.close()
    _log.info("%s", tally)


async def work_in(place: Place, plan: Plan, output: Output) -> None:
    """Work as one of several processes, until the supervisor wants it to stop."""
    async with plan.server() as server:
        subscriptions = plan.subscriptions()
        observers: list[Observer] = [
            LogObserver(), place.series(subscriptions), end_programs,
        ]  # fmt: skip
        worker = plan.worker(server, subscriptions, observers)
        output.on_broken = partial(_nobody_reads, worker)
        collect_less()
        await place.run(worker)


async def prepare(worker: Worker) -> None:
    """Create the groups now, so that what cannot work is said before "Consuming"."""
    for consumer in worker.consumers:
        try:
            await consumer.prepare()
        finally:
            await consumer.close()


def _metrics(plan: Plan, server: Server, subscriptions: Sequence[Subscription]) -> Metrics | None:
    if plan.metrics_port == 0:
        return None
    from streamq.observe.prometheus import Metrics

    metrics = Metrics(server, subscriptions, lease=plan.settings.lease)
    plan.serve(metrics)
    return metrics


def _nobody_reads(worker: Worker) -> None:
    logging.disable()  # as quiet as any program in a pipe
    worker.stop()
