"""``streamq consume --processes N``: the same command N times, under a supervisor."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from streamq.cli.consume.place import NUMBER, SHEET, URL
from streamq.cli.consume.start import announce, prepare, warn
from streamq.cli.consume.tally import Tally
from streamq.cli.exits import ExitCode
from streamq.observe.log_lines import LogObserver
from streamq.observe.prometheus.merge import MergedMetrics, Scoreboard
from streamq.observe.prometheus.rows import outcomes
from streamq.process.supervisor import Equipment, Supervisor
from streamq.server import Server
from streamq.worker import Subscription

if TYPE_CHECKING:
    from streamq.cli.consume.plan import Plan

# Another start would end the same way: an option or the App is wrong, nothing reads the output, or
# there is no room for what is printed.
FINAL = frozenset({ExitCode.USAGE, ExitCode.AUTHENTICATION, ExitCode.BROKEN_PIPE, ExitCode.OUTPUT})

_log = logging.getLogger("streamq")


async def supervise(plan: Plan) -> int:
    """Let several processes work; return the exit code."""
    async with plan.server() as server:
        # What cannot work is said here and once, not by every process.
        subscriptions = plan.subscriptions()
        await warn(server)
        await prepare(plan.worker(server, subscriptions, [LogObserver()]))
        processes = Processes(
            plan.processes,
            server,
            subscriptions,
            burst=plan.burst,
            url=plan.url,
            lease=plan.settings.lease,
            stuck_after=plan.stuck_after,
        )
        try:
            plan.serve(processes.metrics)
            announce(plan, server, subscriptions, processes.metrics)
            code = await processes.run()
        finally:
            processes.close()
    if code == ExitCode.OK:
        _log.info("%s", processes.tally)
    return code


class Processes:
    """The supervisor's side: N processes that run the command line of this one.

    Args:
        count: how many.
        server: asked for the gauges of the metrics.
        subscriptions: what each process consumes.
        burst: whether a process may end by itself.
        url: the server's, if it was given: the processes get it where no other user sees it.
        lease: theirs, in seconds.
        stuck_after: seconds after which an event loop of theirs counts as stuck.

    Attributes:
        metrics: those of all processes together.
        tally: what all of them did, once they have ended.
    """

    def __init__(
        self,
        count: int,
        server: Server,
        subscriptions: Sequence[Subscription],
        *,
        burst: bool,
        url: str | None,
        lease: float,
        stuck_after: float,
    ) -> None:
        self._url = {} if url is None else {URL: url}
        self._scoreboard = Scoreboard()
        self._supervisor = Supervisor(
            # Not sys.argv, which does not tell how Python was started.
            [sys.executable, *_without_url(sys.orig_argv[1:])],
            count,
            equip=self._equip,
            final=FINAL | {ExitCode.OK} if burst else FINAL,
        )
        self.metrics = MergedMetrics(
            server,
            subscriptions,
            scoreboard=self._scoreboard,
            pids=lambda: self._supervisor.pids,
            lease=lease,
            stuck_after=stuck_after,
        )
        self.tally = Tally()

    async def run(self) -> int:
        """Run until all have ended; return the exit code for this process."""
        code = await self._supervisor.run()
        for outcome, count in outcomes(self._scoreboard.counts()).items():
            self.tally.add(outcome, count)
        return code

    def close(self) -> None:
        """Serve no more metrics."""
        self.metrics.close()
        self._scoreboard.close()

    def _equip(self, number: int) -> Equipment:
        sheet = self._scoreboard.sheet(number)
        return Equipment({NUMBER: str(number), SHEET: str(sheet), **self._url}, [sheet])


def _without_url(arguments: Sequence[str]) -> list[str]:
    """A command line without ``--url``: it may have a password, and all users see arguments."""
    kept: list[str] = []
    left = iter(arguments)
    for argument in left:
        if argument == "--url":
            next(left, None)
        elif not argument.startswith("--url="):
            kept.append(argument)
    return kept
