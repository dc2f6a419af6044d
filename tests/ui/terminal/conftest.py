"""Fixtures for the live view: a server with something to see, and a person at a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers import RedisServer, binaries
from tests.ui.terminal.support import Sitting


@pytest.fixture(scope="session")
def shared_server() -> Iterator[RedisServer]:
    """One server for all: what differs between servers is tested below."""
    server = RedisServer(next(iter(binaries().values()))).start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's settings."""
    for name in ("STREAMQ_APP", "STREAMQ_DEBUG", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STREAMQ_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def sit(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Sitting]]:
    """Start ``streamq top`` at a terminal, on the server: ``sit("--read-only")``."""
    monkeypatch.setenv("STREAMQ_URL", server.unix_url)
    started: list[Sitting] = []

    def begin(*args: str, **options: object) -> Sitting:
        words = ["top", "--interval", "100ms", *args]
        started.append(Sitting(words, **options))  # type: ignore[arg-type]  # checked there
        return started[-1]

    yield begin
    for sitting in started:
        sitting.kill()
