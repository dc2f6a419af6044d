"""An idempotency key: while it is remembered, the same key writes nothing again."""

import asyncio

from streamq import App

app = App()


@app.handler("charge")
async def charge(order: int) -> None:
    """It runs once for each order, however often it was produced."""
    print(f"charged order {order}")


async def main() -> None:
    """A client that repeats its request gets the first job again."""
    async with app:
        first = await app.produce("charge", {"order": 42}, unique="order-42")
        again = await app.produce("charge", {"order": 42}, unique="order-42", unique_for=3600)
        print(first.created, again.created, first.id == again.id)
        await app.worker(burst=True).run()


if __name__ == "__main__":
    asyncio.run(main())

# True False True
# charged order 42
