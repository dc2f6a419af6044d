"""A service that comes later, and gets what happened before it was there; and once more."""

import asyncio

from streamq import App

app = App(stream="orders", retain="7d")
shop = app.group("shop")
audit = app.group("audit")


@shop.handler("order_placed")
async def ship(order: int) -> None:
    """It is there from the start."""
    print(f"shipped {order}")


@audit.handler("order_placed")
async def check(order: int) -> None:
    """It comes when all orders are shipped."""
    print(f"checked {order}")


async def main() -> None:
    """A new group, one that is moved back, and single jobs once more."""
    async with app:
        orders = [("order_placed", {"order": n}) for n in (1, 2, 3)]
        jobs = await app.produce_many(orders)
        await app.worker(groups=["shop"], burst=True).run()

        await app.worker(groups=["audit"], burst=True).run()

        rewound = await app.admin.rewind_group("orders", "audit", jobs[0].id)
        print(f"{rewound.entries} once more")
        await app.worker(groups=["audit"], burst=True).run()

        [replayed] = await app.admin.replay("orders", "audit", [jobs[0].id])
        print(f"and one: {replayed.error or 'replayed'}")
        await app.worker(burst=True).run()

        await app.admin.set_stream("orders", retain=0)  # leave nothing behind


if __name__ == "__main__":
    asyncio.run(main())

# shipped 1
# shipped 2
# shipped 3
# checked 1
# checked 2
# checked 3
# 2 once more
# checked 2
# checked 3
# and one: replayed
# checked 1
