"""Apps that keep large data outside the stream."""

from __future__ import annotations

from typing import Any

import pytest

from streamq import App, Offload
from tests.offload.support import ABOVE, Shelf
from tests.servers import RedisServer


@pytest.fixture
async def big(server: RedisServer) -> Any:
    """An app that keeps outside what is larger than 1,000 bytes."""
    async with App(server.unix_url, offload=ABOVE) as app:
        yield app


@pytest.fixture(params=["beside", "store"])
async def anywhere(request: pytest.FixtureRequest, server: RedisServer) -> Any:
    """The same, with its data beside the stream or in a store."""
    shelf = Shelf() if request.param == "store" else None
    async with App(server.unix_url, offload=Offload(ABOVE, shelf)) as app:
        yield app
