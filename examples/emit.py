"""Follow-up events are written together with the ack: all of them, or none."""

import asyncio

from streamq import App, Backoff, Job

app = App()
shop = app.group("shop", retries=1, backoff=Backoff(base=0))


@shop.handler("order_placed")
def place(job: Job, order: int) -> None:
    """The first attempt fails after its emit: nothing of it is ever seen."""
    job.emit("mail", {"order": order, "attempt": job.attempt})  # a plain call, never awaited
    job.emit("invoice", {"order": order}, stream="accounting", key=f"order-{order}")
    if job.attempt == 1:
        raise ConnectionError("the payment service is away")


@shop.handler("mail")
def mail(order: int, attempt: int) -> None:
    """It comes from the attempt that succeeded."""
    print(f"mail for order {order}, written by attempt {attempt}")


async def main() -> None:
    """The event on another stream waits for another service."""
    async with app:
        await app.produce("order_placed", {"order": 42})
        await app.worker(burst=True).run()
        print("invoices waiting:", await app.server.call("XLEN", "accounting"))


if __name__ == "__main__":
    asyncio.run(main())

# mail for order 42, written by attempt 2
# invoices waiting: 1
