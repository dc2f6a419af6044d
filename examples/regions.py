"""Streams with a hash tag, which on a Cluster are on the same node: what belongs together."""

import asyncio

from streamq import App, Job

# On a Cluster: App("redis+cluster://db-1:6379,db-2:6379"). All else stays as it is.
app = App()
sent: list[str] = []

EU_ORDERS, EU_MAILS = "{eu}:orders", "{eu}:mails"


@app.handler("order_placed", stream=EU_ORDERS)
async def confirm(job: Job, order: int) -> None:
    """The mail is written with this job's ack, or not at all; so both are in one slot."""
    job.emit("confirmation", {"order": order}, stream=EU_MAILS)


@app.handler("confirmation", stream=EU_MAILS)
async def send(order: int) -> None:
    """A stream of its own, with workers of its own if need be."""
    sent.append(f"order {order}")


async def main() -> None:
    """Two orders in, two mails out."""
    async with app, App(stream=EU_ORDERS) as shop:
        await shop.produce_many([("order_placed", {"order": 1}), ("order_placed", {"order": 2})])
        await app.worker(burst=True).run()
        print(f"sent: {', '.join(sent)}")


if __name__ == "__main__":
    asyncio.run(main())

# sent: order 1, order 2
