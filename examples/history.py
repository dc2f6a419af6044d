"""How each attempt of a job ended: when it failed, and why."""

import asyncio

from streamq import App, Backoff, Job
from streamq.testing import drain

app = App()
hooks = app.group("hooks", retries=3, timeout=0.05, backoff=Backoff(base=0.01, cap=0.05))


@hooks.handler("send")
async def send(job: Job, url: str) -> str:
    """Succeed at the third attempt."""
    if job.attempt == 1:
        raise OSError("no answer")
    if job.attempt == 2:
        await asyncio.sleep(60)
    return "sent"


async def main() -> None:
    """Work until nothing is left, and look back."""
    async with app:
        job = await app.produce("send", {"url": "https://example.com/hook"})
        await drain(app)
        [status] = (await app.admin.status("jobs", job.id, "hooks")).groups
    for attempt in status.history:
        print(f"attempt {attempt.number}: {attempt.outcome} {attempt.error or ''}".strip())


if __name__ == "__main__":
    asyncio.run(main())

# attempt 1: failed OSError: no answer
# attempt 2: timed out ran longer than its timeout of 0.05 s
# attempt 3: succeeded
