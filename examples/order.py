"""Jobs of one key in the order in which they were written, retries and all."""

import asyncio
from collections import defaultdict

from streamq import App, Job, NewJob, Retry

app = App()
webhooks = app.group("webhooks", order=True)
received: dict[str, list[str]] = defaultdict(list)


@webhooks.handler("order_changed")
async def deliver(job: Job, status: str) -> None:
    """Ann's server fails once; what comes after waits for the retry. Bob waits for nobody."""
    customer = job.key or ""
    if (customer, status, job.attempt) == ("ann", "paid", 1):
        raise Retry("503", delay=0.1)
    received[customer].append(status)


async def main() -> None:
    """Two workers, and still one webhook of a customer at a time."""
    async with app:
        await app.produce_many(
            NewJob("order_changed", {"status": status}, key=customer)
            for status in ("created", "paid", "shipped")
            for customer in ("ann", "bob")
        )
        async with asyncio.TaskGroup() as tasks:
            for _ in range(2):
                tasks.create_task(app.worker(burst=True).run())
    for customer in ("ann", "bob"):
        print(f"{customer}: {', '.join(received[customer])}")


if __name__ == "__main__":
    asyncio.run(main())

# ann: created, paid, shipped
# bob: created, paid, shipped
