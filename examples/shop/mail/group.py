"""The group of this service, and where its mails go."""

from streamq import Group

mail = Group("mail", ignore=["order_placed", "order_paid", "stock_reserved"], retries=8)

outbox: list[str] = []
