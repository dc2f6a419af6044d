"""Stock: what is there, and for whom it is kept."""

from examples.shop.stock import reserve, restock
from examples.shop.stock.group import stock

__all__ = ["reserve", "restock", "stock"]
