"""What a worker of any service opens before its first job."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from examples.shop import warehouse


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    """Fill the shelves; a real program would open its database here."""
    warehouse.shelves.update(book=1, lamp=5)
    yield
    warehouse.shelves.clear()


__all__ = ["lifespan"]
