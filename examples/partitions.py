"""One stream over several keys: jobs of a key are together, and it grows while it is worked on."""

import asyncio

from streamq import App, Job, NewJob, Partitioned

app = App(streams={"jobs": Partitioned(4)})
orders = app.group("orders", order=True)
seen: dict[str, list[tuple[int, int | None]]] = {}


@orders.handler("order_changed")
async def change(job: Job, n: int) -> None:
    """Jobs of one customer come in order, whatever partition they are in."""
    assert job.key is not None
    seen.setdefault(job.key, []).append((n, job.partition))


async def main() -> None:
    """Write, let the stream grow, write again, and work."""
    customers = ["ann", "bob", "eve"]
    async with app:
        await app.produce_many(NewJob("order_changed", {"n": 1}, key=name) for name in customers)
        await app.admin.create_group("jobs", "orders")
        await app.admin.grow("jobs", 8)
        await app.produce_many(NewJob("order_changed", {"n": 2}, key=name) for name in customers)

        about = await app.admin.stream("jobs")
        print(f"{about.name}: {about.length} jobs in {about.partitions} partitions")
        await app.worker(burst=True).run()
        for name in customers:
            print(name, seen[name])


if __name__ == "__main__":
    asyncio.run(main())

# jobs: 6 jobs in 8 partitions
# ann [(1, 3), (2, 3)]
# bob [(1, 0), (2, 0)]
# eve [(1, 2), (2, 6)]
