"""Jobs and what becomes of them, as it happens."""

import asyncio
from contextlib import aclosing

from streamq import App, Backoff, Job
from streamq.testing import drain

app = App()
hooks = app.group("hooks", retries=3, backoff=Backoff(base=0, cap=0))


@hooks.handler("send")
async def send(job: Job, url: str) -> str:
    """Succeed at the second attempt."""
    if job.attempt == 1:
        raise OSError("no answer")
    return "sent"


async def main() -> None:
    """Follow a job from its beginning to its end."""
    async with app:
        await app.admin.create_group("jobs", "hooks")
        async with aclosing(app.admin.follow("jobs", "hooks")) as events:
            async for event in events:
                print(" ".join(filter(None, (event.state, event.type, event.error))))
                if event.state == "following":
                    await app.produce("send", {"url": "https://example.com/hook"})
                    await drain(app)
                elif event.state == "succeeded":
                    break


if __name__ == "__main__":
    asyncio.run(main())

# following
# queued send
# retrying send OSError: no answer
# succeeded send
