"""Fixtures: every test that asks for a server runs on each kind of server there is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import redis

from streamq import App
from tests.servers import RedisServer, binaries

FAULTS = Path(__file__).parent / "faults"


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--quick``: what answers in two minutes."""
    parser.addoption(
        "--quick", action="store_true", help="one kind of server, and none of the slow tests"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what ``--quick`` does."""
    if config.getoption("--quick"):
        left_out = [item for item in items if is_slow(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def is_slow(item: pytest.Item) -> bool:
    """Whether it takes seconds by itself, or is the same once more on another server."""
    call = getattr(item, "callspec", None)
    kinds = list(binaries())
    return (
        any(kind in call.params.values() for kind in kinds[1:] if call)
        or item.path.is_relative_to(FAULTS)
        or item.get_closest_marker("slow") is not None
    )


@pytest.fixture
def anyio_backend() -> str:
    """The worker runs on asyncio only."""
    return "asyncio"


@pytest.fixture(scope="session", params=list(binaries()))
def shared_server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """One server of each kind for the whole run; ask for ``server`` instead."""
    server = RedisServer(binaries()[request.param]).start()
    yield server
    server.stop()


@pytest.fixture
def server(shared_server: RedisServer) -> RedisServer:
    """A running server without any data. Leave its settings as they are."""
    with shared_server.client() as client:
        client.flushall()
    return shared_server


@pytest.fixture
def make_server(shared_server: RedisServer) -> Iterator[Callable[..., RedisServer]]:
    """Start servers of one's own, of the kind under test: ``make_server("--requirepass", "x")``."""
    started: list[RedisServer] = []

    def make(*options: str) -> RedisServer:
        started.append(RedisServer(shared_server.binary, options))
        return started[-1].start()

    yield make
    for server in started:
        server.stop()


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    """A plain client, to look at what is really in the server."""
    with server.client() as client:
        yield client


@pytest.fixture
async def app(server: RedisServer) -> AsyncIterator[App]:
    """An app on the server, without handlers."""
    async with App(server.unix_url) as app:
        yield app


@pytest.fixture
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers look more often, so that tests with many short runs take less time."""
    monkeypatch.setattr("streamq.worker.fetch.BLOCK", 0.02)
    monkeypatch.setattr("streamq.worker.worker.BURST_POLL", 0.01)
