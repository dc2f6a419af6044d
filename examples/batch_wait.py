"""Batches that wait: full ones, one order key in each, and what is left after two seconds."""

import asyncio

from streamq import App, Job

app = App()
statistics = app.group("statistics")


@statistics.handler("row", batch=5, batch_wait=2.0, batch_by_key=True)
async def insert(jobs: list[Job]) -> None:
    """Called with five rows of one table, or with fewer when the first has waited for 2 s."""
    print(f"insert {len(jobs)} rows into {jobs[0].key}")


async def main() -> None:
    """Rows of two tables come mixed; a burst waits for nothing that cannot come."""
    async with app:
        for n in range(7):
            await app.produce("row", {"n": n}, key="orders")
            await app.produce("row", {"n": n}, key="visits")
        await app.worker(burst=True).run()


if __name__ == "__main__":
    asyncio.run(main())

# insert 5 rows into orders
# insert 5 rows into visits
# insert 2 rows into orders
# insert 2 rows into visits
