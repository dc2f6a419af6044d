"""What the services tell each other."""

from streamq import Event


class OrderPlaced(Event):
    """A customer wants something."""

    order: int
    customer: str
    item: str
    cents: int


class StockReserved(Event):
    """It is there, and kept for the order."""

    order: int
    customer: str
    cents: int


class OrderRejected(Event):
    """The order comes to nothing."""

    order: int
    customer: str
    why: str


class OrderPaid(Event):
    """The money has come."""

    order: int
    customer: str


class ParcelSent(Event):
    """It is on its way."""

    order: int
    customer: str
