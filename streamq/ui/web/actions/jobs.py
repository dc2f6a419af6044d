"""What is done to jobs: retried, given up, cancelled, given once more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

from streamq.admin import CancelOutcome, RetryNow
from streamq.ui.web.actions.asked import Asked, Confirm, Done
from streamq.ui.web.formats import plural

Answer = Confirm | Done


async def retry(asked: Asked) -> Answer:
    """Retry jobs now."""
    done = await asked.admin.retry_now(*asked.place, asked.ids)
    count = Counter(done.values())
    told = {
        RetryNow.DUE: "{} due now.",
        RetryNow.RUNNING: "{} running: left alone.",
        RetryNow.NOT_PENDING: "{} no longer pending.",
        RetryNow.DELETED: "{} deleted from the stream: dropped.",
    }
    text = " ".join(
        words.format(f"{plural(count[one], 'job')} {_are(count[one])}")
        for one, words in told.items()
        if count[one]
    )
    return Done(text, bad=not count[RetryNow.DUE])


async def dead_letter(asked: Asked) -> Answer:
    """Make pending jobs dead letters."""
    _, group = asked.place
    jobs = plural(len(asked.ids), "job")
    if not asked.confirmed:
        return Confirm(
            f"Give up {jobs} of {group}?",
            f"Make {plural(len(asked.ids), 'dead letter')}",
            [
                "They become dead letters, even while they run: a worker's verdict is refused.",
                "A redrive sends them back.",
            ],
            reason=("Why, for whoever looks at them later", "given up in the dashboard"),
        )
    why = asked.form.get("reason").strip() or "given up in the dashboard"
    done = await asked.admin.dead_letter(*asked.place, asked.ids, why)
    dead = sum(done.values())
    text = f"{plural(dead, 'job')} {_are(dead)} dead now."
    if dead < len(done):
        text += f" {plural(len(done) - dead, 'job')} no longer pending."
    return Done(text, bad=not dead)


async def cancel(asked: Asked) -> Answer:
    """Cancel jobs, in one group or in all."""
    stream, group = asked.need("stream"), asked.form.get("group") or None
    jobs = plural(len(asked.ids), "job")
    if not asked.confirmed:
        where = f"in the group {group}" if group else "in every group"
        return Confirm(
            f"Cancel {jobs} {where}?",
            f"Cancel {jobs}",
            [
                "What waits never runs. What runs is stopped within a second, unless it succeeds "
                "before that.",
            ],
            dangerous=True,
        )
    ended = running = 0
    for job_id in asked.ids:
        cancelled = await asked.admin.cancel(stream, job_id, group=group)
        if CancelOutcome.CANCELLING in cancelled.groups.values():
            running += 1
        else:
            ended += bool(cancelled)
    missed = len(asked.ids) - ended - running
    text = f"{plural(ended, 'job')} cancelled." if ended or not running else ""
    if running:
        text += f" {plural(running, 'running job')} {_are(running)} being stopped."
    if missed:
        text += f" {plural(missed, 'job')} settled already."
    return Done(text.strip(), bad=not (ended or running))


async def replay(asked: Asked) -> Answer:
    """Give a settled job to a group once more."""
    stream, group = asked.place
    if not asked.confirmed:
        return Confirm(
            f"Run {plural(len(asked.ids), 'job')} once more in {group}?",
            "Run once more",
            ["It becomes a new entry, for this group only, with an ID of its own."],
        )
    done = await asked.admin.replay(stream, group, asked.ids)
    new = [one.new_id for one in done if one.new_id]
    if not new:
        return Done(f"Not done: {done[0].error}", bad=True)
    return Done(f"Written once more, as {', '.join(new)}.", job=(stream, group, new[0]))


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


ACTIONS: dict[str, Callable[[Asked], Awaitable[Answer]]] = {
    "retry": retry, "dead-letter": dead_letter, "cancel": cancel, "replay": replay
}  # fmt: skip
