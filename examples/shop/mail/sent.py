"""Tell a customer that the parcel is on its way."""

from examples.shop.events import ParcelSent
from examples.shop.mail.group import mail, outbox


@mail.handler()
async def sent(event: ParcelSent) -> None:
    """With the number of the order."""
    outbox.append(f"{event.customer}: order {event.order} is on its way")
