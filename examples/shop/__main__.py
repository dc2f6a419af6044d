"""Two orders for the last book: ``python -m examples.shop``."""

import asyncio

from examples.shop.app import app
from examples.shop.audit.group import lines
from examples.shop.events import OrderPlaced
from examples.shop.mail.group import outbox


async def main() -> None:
    """All services in one worker; in production each may have its own."""
    async with app:
        for order, customer in enumerate(("ann", "bob"), start=1):
            event = OrderPlaced(order=order, customer=customer, item="book", cents=999)
            await app.produce(event, unique=f"order-{order}", key=customer)
        await app.worker(burst=True).run()
    print(*sorted(outbox), sep="\n")
    print(len(lines), "events")


if __name__ == "__main__":
    asyncio.run(main())

# ann: order 1 is on its way
# bob: order 2 was rejected, sold out
# 6 events
