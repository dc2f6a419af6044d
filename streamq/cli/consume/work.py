"""The worker of one process, whether alone or one of several."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from streamq.cli.consume.start import announce, prepare, warn
from streamq.cli.consume.tally import Tally
from streamq.observe.log_lines import LogObserver
from streamq.process.gc import collect_less
from streamq.programs.process import end_programs

if TYPE_CHECKING:
    from streamq.cli.consume.place import Place
    from streamq.cli.consume.plan import Plan
    from streamq.cli.consume.printing import Output
    from streamq.observe.prometheus import Metrics
    from streamq.server import Server
    from streamq.signals import Observer
    from streamq.worker import Subscription, Worker

_log = logging.getLogger("streamq")


async def work(plan: Plan, output: Output, place: Place | None = None) -> None:
    """Work until a signal, the end of a burst, or the last of the deliveries asked for.

    Args:
        output: tells the worker when nothing reads it.
        place: that of this process among several; ``None`` for one that works alone.
    """
    async with plan.server() as server:
        subscriptions = plan.subscriptions()
        if place is None:
            await _work_alone(plan, server, subscriptions, output)
        else:
            await _work_in(place, plan, server, subscriptions, output)


async def _work_alone(
    plan: Plan, server: Server, subscriptions: Sequence[Subscription], output: Output
) -> None:
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


async def _work_in(
    place: Place, plan: Plan, server: Server, subscriptions: Sequence[Subscription], output: Output
) -> None:
    observers: list[Observer] = [LogObserver(), place.series(subscriptions), end_programs]
    worker = plan.worker(server, subscriptions, observers)
    output.on_broken = partial(_nobody_reads, worker)
    collect_less()
    await place.run(worker)


def _metrics(plan: Plan, server: Server, subscriptions: Sequence[Subscription]) -> Metrics | None:
    if plan.metrics_port == 0:
        return None
    from streamq.observe.prometheus import Metrics

    metrics = Metrics(
        server, subscriptions, lease=plan.settings.lease, stuck_after=plan.stuck_after
    )
    plan.serve(metrics)
    return metrics


def _nobody_reads(worker: Worker) -> None:
    logging.disable()  # as quiet as any program in a pipe
    worker.stop()
