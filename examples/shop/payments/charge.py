"""Charge a customer."""

from examples.shop.events import OrderPaid, StockReserved
from examples.shop.payments.group import payments
from streamq import Dead, Job


@payments.handler()
async def charge(job: Job, event: StockReserved) -> None:
    """An amount that makes no sense is nothing to try again."""
    if event.cents <= 0:
        raise Dead(f"{event.cents} cents cannot be charged")
    job.emit(OrderPaid(order=event.order, customer=event.customer))
