"""Mail: what customers read."""

from examples.shop.mail import rejected, sent
from examples.shop.mail.group import mail

__all__ = ["mail", "rejected", "sent"]
