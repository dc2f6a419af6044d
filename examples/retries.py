"""Another attempt after a backoff, another one after a delay, and giving up at once."""

import asyncio

from streamq import App, Backoff, Dead, Job, Retry
from streamq.testing import drain

app = App()
hooks = app.group("hooks", retries=3, backoff=Backoff(base=0.01, cap=0.05))


@hooks.handler("send")
async def send(job: Job, url: str) -> str:
    """What it raises decides."""
    if url == "gone":
        raise Dead("no such customer")  # to the dead letters, without another attempt
    if url == "busy" and job.attempt == 1:
        raise Retry("asked to wait", delay=0.05)  # another attempt, then
    if url == "broken":
        raise OSError("no answer")  # any other exception: another attempt after the backoff
    return "sent"


async def main() -> None:
    """Work until nothing is left, and show what became of each attempt."""
    async with app:
        await app.produce_many([("send", {"url": url}) for url in ("gone", "busy", "broken")])
        done = await drain(app)
    for one in sorted(done, key=lambda one: (one.data["url"], one.attempt)):
        print(f"{one.data['url']}, attempt {one.attempt}: {one.outcome.value} {one.reason}".strip())


if __name__ == "__main__":
    asyncio.run(main())

# broken, attempt 1: retry
# broken, attempt 2: retry
# broken, attempt 3: retry
# broken, attempt 4: dead retries exhausted
# busy, attempt 1: retry
# busy, attempt 2: succeeded
# gone, attempt 1: dead gave up
