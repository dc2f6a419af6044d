"""The group of this service, and the rules that its handlers share."""

from streamq import Backoff, Group

stock = Group(
    "stock",
    ignore=["stock_reserved", "order_paid", "parcel_sent"],
    retries=5,
    backoff=Backoff(base=2, cap=60),
    timeout=10,
    concurrency=1,  # first come, first served
)
