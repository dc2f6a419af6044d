"""A handler that takes many jobs in one call, for a database that likes large inserts."""

import asyncio

from streamq import App, Job

app = App()
statistics = app.group("statistics")


@statistics.handler("page_viewed", batch=500)
async def insert(jobs: list[Job]) -> None:
    """The outcome counts for all of them."""
    print(f"insert {len(jobs)} rows, the first is {jobs[0].data}")


async def main() -> None:
    """What is there already comes in one call, up to 500 of it."""
    async with app:
        await app.produce_many([("page_viewed", {"page": n}) for n in range(100)])
        await app.worker(burst=True).run()


if __name__ == "__main__":
    asyncio.run(main())

# insert 100 rows, the first is {'page': 0}
