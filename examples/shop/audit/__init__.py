"""Audit: a line for each event, whatever it is."""

from examples.shop.audit import note
from examples.shop.audit.group import audit

__all__ = ["audit", "note"]
