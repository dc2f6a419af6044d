"""Mail: what customers are told."""

from examples.shop.mail import rejected, sent
from examples.shop.mail.group import mail

__all__ = ["mail", "rejected", "sent"]
