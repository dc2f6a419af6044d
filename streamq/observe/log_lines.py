"""An observer that writes to the log, in the words of an operator."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from streamq import signals
from streamq.errors import ServerUnavailable
from streamq.observe.job_logs import about
from streamq.observe.summary import Summary
from streamq.signals import Signal
from streamq.text import printable
from streamq.tracebacks import traceback_of
from streamq.verdict import Outcome, Verdict, foreseen

log = logging.getLogger("streamq")


class LogObserver:
    """Logs what an operator wants to know: failures, losses, recoveries.

    Messages that are alike are summed up when there are many of them in a second. At DEBUG
    none are, and jobs that succeed are logged, too. A line about a job has its fields, see
    :class:`~streamq.JobLogFilter`, and where a handler failed its traceback. Text from payloads and
    servers is escaped.
    """

    def __init__(self) -> None:
        if not any(isinstance(one, Summary) for one in log.filters):
            log.addFilter(Summary(log))
            log.addFilter(_Tracebacks())

    def __call__(self, event: Signal) -> None:
        match event:
            case signals.Settled(verdicts):
                self._settled(verdicts)
            case signals.Refused(verdict, holder):
                whose = f"it is {holder}'s now" if holder else "it is settled already"
                log.warning(
                    "Job %s: %s came too late, %s", verdict.job.id, verdict.outcome.value, whose,
                    extra=about(verdict.job),
                )  # fmt: skip
            case signals.LeaseLost(stream, group, job_ids):
                log.warning(
                    "Lost the lease of %s on %s/%s: the heartbeat came too late",
                    _some(job_ids), stream, group,
                )  # fmt: skip
            case signals.Reclaimed(stream, group, job_ids):
                log.info("Reclaimed %s, stalled on %s/%s", _some(job_ids), stream, group)
            case signals.DeadLettered(stream, group, job_id, deliveries):
                log.error(
                    "Job %s moved to DLQ of %s/%s: worker lost (%d deliveries)",
                    job_id, stream, group, deliveries,
                    extra={"stream": printable(stream), "group": group, "job_id": job_id},
                )  # fmt: skip
            case signals.Vanished(stream, group, job_ids):
                log.error(
                    "%s of %s/%s deleted from the stream by another program while pending",
                    _some(job_ids), stream, group,
                )  # fmt: skip
            case signals.GroupCreated(stream, group, again):
                if again:
                    log.warning("The group %s of %s was deleted; created it again", group, stream)
                else:
                    log.info("Created the group %s on %s", group, stream)
            case signals.Abandoned(stream, group, unread, pending):
                log.warning(
                    "The group %s of %s has no live consumer and is abandoned: gave up %d unread "
                    "jobs, moved %d pending ones to its DLQ",
                    group, stream, unread, pending,
                )  # fmt: skip
            case signals.RetentionChanged(stream, before, retain):
                log.warning(
                    "Settled entries of %s are kept %s from now on; before that, %s",
                    stream, _kept(retain), _kept(before),
                )  # fmt: skip
            case signals.Ticked(stream, schedule, missed=missed) if missed:
                log.warning(
                    "Schedule %s of %s: no worker was there in time for %s",
                    printable(schedule), stream, _counted(missed, "tick"),
                )  # fmt: skip
            case signals.ServerLost(ServerUnavailable() as error):
                log.warning("Server lost: %s; waiting for it to come back", error)
            case signals.ServerLost(error):
                log.error("Server rejected a command: %s; retrying", error)
            case signals.ServerBack(seconds):
                log.warning("Server back after %.1f s", seconds)
            case signals.HandlerAbandoned(job):
                log.error(
                    "Job %s: handler ignored cancellation; abandoned", job.id, extra=about(job)
                )
            case signals.Stopping(running, grace):
                if running:
                    log.info(
                        "Stopping: waiting up to %g s for %s; a second signal leaves at once",
                        grace, _running(running),
                    )  # fmt: skip
                else:
                    log.info("Stopping")
            case signals.Leaving(running, lease):
                log.warning(
                    "Leaving at once: another worker reclaims %s in %g s",
                    _running(running), lease,
                )  # fmt: skip

    def _settled(self, verdicts: Sequence[Verdict]) -> None:
        verbose = log.isEnabledFor(logging.DEBUG)
        succeeded = Outcome.SUCCEEDED
        if not verbose:
            verdicts = [v for v in verdicts if v.error or v.outcome is not succeeded]
        for verdict in verdicts:
            job = verdict.job
            if verdict.outcome is Outcome.SUCCEEDED:
                if verdict.error:
                    log.warning("Job %s: %s", job.id, verdict.error, extra=about(job))
                elif verbose:
                    ms = (verdict.finished - verdict.started) * 1000
                    log.debug(
                        "Job %s (%s) done in %.1f ms",
                        job.id, printable(job.type), ms, extra=about(job),
                    )  # fmt: skip
            elif verdict.outcome is Outcome.RETRY:
                log.warning(
                    "Retrying job %s in %.1f s (attempt %d): %s",
                    job.id, verdict.delay, job.attempt, verdict.error,
                    exc_info=_raised(verdict), extra=about(job),
                )  # fmt: skip
            elif verdict.outcome is Outcome.DEAD:
                log.error(
                    "Job %s moved to DLQ: %s: %s", job.id, verdict.reason, verdict.error,
                    exc_info=_raised(verdict), extra=about(job),
                )  # fmt: skip
            elif verdict.outcome is Outcome.EXPIRED:
                log.warning("Job %s expired before its turn came", job.id, extra=about(job))
            elif verdict.outcome is Outcome.CANCELLED:
                log.info("Job %s %s", job.id, verdict.error, extra=about(job))
            elif verbose:
                log.debug("Job %s %s", job.id, verdict.outcome.value, extra=about(job))


def _raised(verdict: Verdict) -> BaseException | None:
    """What the handler raised, if where it did tells something."""
    error = verdict.exception
    return None if error is None or foreseen(error) else error


class _Tracebacks(logging.Filter):
    """Makes tracebacks safe to show, for any formatter: messages of errors may be of payloads.

    It comes after what sums messages up: those that are left out cost nothing.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Fill in the text; all records go through."""
        if record.exc_info and record.exc_info[1] is not None and not record.exc_text:
            record.exc_text = traceback_of(record.exc_info[1]) or None
            if record.exc_text is None:
                record.exc_info = None
        return True


def _kept(retain: float | None) -> str:
    return "not at all" if retain is None else f"for {retain:g} s"


def _running(count: int) -> str:
    return _counted(count, "running job")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _some(job_ids: Sequence[str]) -> str:
    if len(job_ids) == 1:
        return f"job {job_ids[0]}"
    return f"{len(job_ids)} jobs ({job_ids[0]} …)"
