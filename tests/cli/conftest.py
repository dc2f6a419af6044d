"""Fixtures for the command line: in this process where that loses nothing, else in its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.support import Program, Result, run_here
from tests.servers import RedisServer, binaries


@pytest.fixture(scope="session")
def shared_server() -> Iterator[RedisServer]:
    """One server for all: what differs between servers is tested below the command line."""
    server = RedisServer(next(iter(binaries().values()))).start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory, and nothing of this machine's settings."""
    for name in ("STREAMQ_URL", "STREAMQ_APP", "STREAMQ_DEBUG", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STREAMQ_LOG_FORMAT", "text")  # what a person sees at a terminal
    monkeypatch.setenv("STREAMQ_HOME", str(tmp_path / "home"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture(autouse=True)
def logging_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a command changes in this process's logging is changed back."""
    monkeypatch.setattr(logging, "raiseExceptions", logging.raiseExceptions)
    logger = logging.getLogger("streamq")
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture
def streamq(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """Run a command in this process, on the server: ``streamq("produce", "a=1")``."""
    monkeypatch.setenv("STREAMQ_URL", server.unix_url)

    def run(*args: str) -> Result:
        return run_here(args, capsys)

    return run


@pytest.fixture
def start(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Program]]:
    """Start a command in a process of its own, on the server: ``start("consume")``."""
    monkeypatch.setenv("STREAMQ_URL", server.unix_url)
    started: list[Program] = []

    def begin(*args: str, **options: object) -> Program:
        started.append(Program(args, **options))  # type: ignore[arg-type]  # checked there
        return started[-1]

    yield begin
    for program in started:
        program.kill()
