"""Tell a customer that an order comes to nothing."""

from examples.shop.events import OrderRejected
from examples.shop.mail.group import mail, outbox


@mail.handler()
async def rejected(event: OrderRejected) -> None:
    """With the reason."""
    outbox.append(f"{event.customer}: order {event.order} was rejected, {event.why}")
