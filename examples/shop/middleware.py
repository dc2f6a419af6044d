"""Code around every job of the shop."""

from typing import Any

from streamq import Job
from streamq.middleware import CallNext

log: list[str] = []


async def noted(job: Job, call_next: CallNext) -> Any:
    """Note which service handles what."""
    log.append(f"{job.group}: {job.type}")
    return await call_next(job)
