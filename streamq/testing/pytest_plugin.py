"""The fixtures ``streamq_url`` and ``streamq_app``, which pytest finds by itself."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from streamq.app import App


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a project name its own app in pytest's settings."""
    parser.addini("streamq_app", "The App of the fixture streamq_app, MODULE:NAME.", default="")


@pytest.fixture(scope="session")
def _streamq_server() -> Iterator[str]:
    from streamq.testing.servers import running

    with running() as url:
        yield url


@pytest.fixture
def streamq_url(_streamq_server: str) -> str:
    """The URL of a real server, empty at the start of each test."""
    from urllib.parse import unquote

    from streamq.server.embedded.probe import ask

    socket = unquote(_streamq_server.removeprefix("unix://"))
    ask(Path(socket), "FLUSHALL", timeout=10)
    return _streamq_server


@pytest.fixture
def streamq_app(streamq_url: str, request: pytest.FixtureRequest) -> Iterator[App]:
    """An App on that server: the one that ``streamq_app = module:name`` names, or a new one.

    A test closes it, where it has used it: ``async with streamq_app: ...``.
    """
    from streamq.app import App

    named = str(request.config.getini("streamq_app"))
    if not named:
        yield App(streamq_url)
        return
    module, _, name = named.partition(":")
    app: App = getattr(import_module(module), name)
    own, app.url = app.url, streamq_url
    try:
        yield app
    finally:
        app.url = own
