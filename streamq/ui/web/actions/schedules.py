"""What is done to jobs for later, and to the schedules of periodic jobs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from streamq.text import printable
from streamq.ui.web.actions.asked import Asked, Confirm, Done
from streamq.ui.web.formats import plural

Answer = Confirm | Done


async def run_now(asked: Asked) -> Answer:
    """Let jobs for later be due now."""
    stream, count = asked.need("stream"), 0
    for name in asked.ids:
        count += await asked.admin.run_now(stream, name)
    text = f"{plural(count, 'job')} due now: the next worker that looks writes it to the stream."
    if count < len(asked.ids):
        text = f"{plural(count, 'job')} due now; {len(asked.ids) - count:,} no longer waiting."
    return Done(text, bad=not count)


async def take_back(asked: Asked) -> Answer:
    """Cancel jobs for later."""
    stream, jobs = asked.need("stream"), plural(len(asked.ids), "job")
    if not asked.confirmed:
        return Confirm(
            f"Take back {jobs} for later?", f"Take back {jobs}",
            ["It is never written to the stream. Its idempotency key is free again."],
            dangerous=True,
        )  # fmt: skip
    count = 0
    for name in asked.ids:
        count += await asked.admin.cancel_scheduled(stream, name)
    text = f"Took back {plural(count, 'job')}."
    if count < len(asked.ids):
        text += f" {len(asked.ids) - count:,} no longer waiting."
    return Done(text, bad=not count)


async def cron_pause(asked: Asked) -> Answer:
    """Let a schedule tick no more."""
    stream, name = asked.need("stream"), asked.need("name")
    new = await asked.admin.schedules.pause(stream, name)
    return Done(f"Paused {printable(name)}." if new else f"{printable(name)} was paused already.")


async def cron_resume(asked: Asked) -> Answer:
    """Let it tick again."""
    stream, name = asked.need("stream"), asked.need("name")
    new = await asked.admin.schedules.resume(stream, name)
    return Done(f"Resumed {printable(name)}." if new else f"{printable(name)} was not paused.")


async def cron_run(asked: Asked) -> Answer:
    """Write one of its jobs now."""
    stream, name = asked.need("stream"), asked.need("name")
    job_id = await asked.admin.schedules.run_now(stream, name)
    return Done(f"Wrote a job of {printable(name)}: {job_id}.")


async def cron_delete(asked: Asked) -> Answer:
    """Delete it."""
    stream, name = asked.need("stream"), asked.need("name")
    if not asked.confirmed:
        return Confirm(
            f"Delete the schedule {printable(name)}?", "Delete the schedule",
            ["It ticks no more. The jobs that it has written stay."], dangerous=True,
        )  # fmt: skip
    await asked.admin.schedules.delete(stream, name)
    return Done(f"Deleted the schedule {printable(name)}.")


ACTIONS: dict[str, Callable[[Asked], Awaitable[Answer]]] = {
    "run-now": run_now, "take-back": take_back, "cron-pause": cron_pause,
    "cron-resume": cron_resume, "cron-run": cron_run, "cron-delete": cron_delete,
}  # fmt: skip
