"""Shipping: parcels for orders that are paid."""

from examples.shop.shipping import send
from examples.shop.shipping.group import shipping

__all__ = ["send", "shipping"]
