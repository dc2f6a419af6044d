"""The group of this service: patient, because the bank is slow."""

from streamq import Backoff, Group

payments = Group(
    "payments",
    ignore=["order_*", "parcel_sent"],
    retries=10,
    backoff=Backoff(base=5, cap=3600),
    timeout=60,
    concurrency=8,
)
