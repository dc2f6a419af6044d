"""Reserve what a customer wants."""

from examples.shop import warehouse
from examples.shop.events import OrderPlaced, OrderRejected, StockReserved
from examples.shop.stock.group import stock
from streamq import Job


@stock.handler()
def reserve(job: Job, event: OrderPlaced) -> None:
    """Go on with what is there, and say so when it is not."""
    if warehouse.take(event.item):
        job.emit(
            StockReserved(order=event.order, customer=event.customer, cents=event.cents),
            key=event.customer,
        )
    else:
        job.emit(OrderRejected(order=event.order, customer=event.customer, why="sold out"))
