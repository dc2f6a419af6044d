"""What a worker logs to standard error: how, and its first line."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from streamq.cli.output import is_terminal
from streamq.text import printable

if TYPE_CHECKING:
    from streamq.cli.consume.plan import Plan
    from streamq.observe.prometheus import Metrics
    from streamq.server import Server
    from streamq.worker import Subscription

_log = logging.getLogger("streamq")


class LogLevel(StrEnum):
    """What is logged to standard error."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def set_up_logging(level: LogLevel, process: int | None = None) -> None:
    """Log to standard error, unless the App has set up logging itself.

    Args:
        process: which of several processes this is, for every line to say.
    """
    logging.raiseExceptions = False  # a log that nobody reads any more is no reason to fail
    root = logging.getLogger()
    if not root.handlers:
        time_format = "%H:%M:%S" if is_terminal(sys.stderr) else "%Y-%m-%dT%H:%M:%S%z"
        output = logging.StreamHandler(sys.stderr)
        who = "" if process is None else f"[{process}] "
        output.setFormatter(
            logging.Formatter(f"%(asctime)s %(levelname)-7s {who}%(message)s", time_format)
        )
        root.addHandler(output)
        root.setLevel(max(getattr(logging, level.name), logging.INFO))
    _log.setLevel(level.name)


async def warn(server: Server) -> None:
    """Log the settings of the server under which jobs could be lost."""
    for warning in (await server.info()).warnings:
        _log.warning("%s", warning)


def announce(
    plan: Plan, server: Server, subscriptions: Sequence[Subscription], metrics: Metrics | None
) -> None:
    """Log what is consumed, from where."""
    what = ", ".join(f"{printable(s.stream)} as {s.group}" for s in subscriptions)
    _log.info(
        "Consuming %s from %s, %d at once%s%s",
        what,
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
