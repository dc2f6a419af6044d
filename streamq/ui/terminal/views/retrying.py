"""Retrying one job now: the same key in several views."""

from __future__ import annotations

from streamq.admin import RetryNow
from streamq.text import printable
from streamq.ui.terminal.views.view import Desk

OUTCOMES = {
    RetryNow.DUE: "is due now",
    RetryNow.RUNNING: "is running: left alone",
    RetryNow.NOT_PENDING: "is not pending any more",
}


def retry_now(desk: Desk, stream: str, group: str, job_id: str) -> None:
    """Ask, and let a job that waits for a retry, or is stalled, be due."""
    name = printable(group, 60)

    async def retry() -> str:
        done = await desk.admin.retry_now(stream, group, [job_id])
        said = OUTCOMES.get(done[job_id], "was deleted from the stream: dropped")
        return f"{job_id} {said} in {name}"

    desk.change(f"Retry {job_id} in {name} now?", retry)
