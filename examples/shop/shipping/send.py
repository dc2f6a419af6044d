"""Send a parcel."""

from examples.shop.events import OrderPaid, ParcelSent
from examples.shop.shipping.group import shipping
from streamq import Job


@shipping.handler()
async def send(job: Job, event: OrderPaid) -> None:
    """One parcel for each order."""
    job.emit(ParcelSent(order=event.order, customer=event.customer))
