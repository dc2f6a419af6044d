"""Put back what an order does not take."""

from examples.shop.events import OrderRejected
from examples.shop.stock.group import stock


@stock.handler()
def restock(event: OrderRejected) -> str:
    """Nothing was kept for an order that was rejected."""
    return f"order {event.order} has nothing on a shelf"
