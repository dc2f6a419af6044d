"""What is served over HTTP, on one kind of server: what differs is tested below it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import RedisServer, binaries


@pytest.fixture(scope="session")
def shared_server() -> Iterator[RedisServer]:
    """One server for all."""
    server = RedisServer(next(iter(binaries().values()))).start()
    yield server
    server.stop()
