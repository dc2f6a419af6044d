"""Urgent jobs and bulk jobs: two streams that share the slots of a group."""

import asyncio

from streamq import App, Job, Settings

app = App(priorities={"high": "urgent", "low": "bulk"})
order: list[str] = []


@app.handler("mail")
async def send(job: Job, to: str) -> None:
    """A handler that names no stream works on all streams of the app."""
    order.append(job.stream)


async def main() -> None:
    """Of ten jobs nine are urgent, as long as there are such; nobody is starved."""
    async with app:
        await app.produce_many([("mail", {"to": "all"})] * 20, priority="low")
        await app.produce_many([("mail", {"to": "ann"})] * 20, priority="high")
        one_at_a_time = Settings(concurrency=1)
        await app.worker(streams={"urgent": 9, "bulk": 1}, settings=one_at_a_time, burst=True).run()
        print(f"of the first ten, {order[:10].count('urgent')} are urgent")

        order.clear()
        await app.produce_many([("mail", {"to": "all"})] * 3, priority="low")
        await app.produce("mail", {"to": "bob"}, priority="high")
        await app.worker(
            streams=["urgent", "bulk"], strict=True, settings=one_at_a_time, burst=True
        ).run()
        print(f"strictly: {', '.join(order)}")


if __name__ == "__main__":
    asyncio.run(main())

# of the first ten, 9 are urgent
# strictly: urgent, bulk, bulk, bulk
