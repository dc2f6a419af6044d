"""Payments: money for orders."""

from examples.shop.payments import charge
from examples.shop.payments.group import payments

__all__ = ["charge", "payments"]
