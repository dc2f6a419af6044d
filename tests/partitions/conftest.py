"""Apps whose stream has partitions."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from streamq import App, Partitioned
from tests.servers import RedisServer


@pytest.fixture(autouse=True)
def _brisk(brisk: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers look often, for jobs and for new partitions."""
    monkeypatch.setattr("streamq.worker.partitions.EVERY", 0.05)
    monkeypatch.setattr("streamq.worker.partitions.GATE", 0.02)


@pytest.fixture
async def app(server: RedisServer) -> AsyncIterator[App]:
    """An app whose stream ``jobs`` has four partitions, without handlers."""
    async with App(server.unix_url, streams={"jobs": Partitioned(4)}) as app:
        yield app
