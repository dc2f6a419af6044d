"""The group of this service."""

from streamq import Group

shipping = Group("shipping", ignore=["order_placed", "order_rejected", "stock_*", "parcel_sent"])
