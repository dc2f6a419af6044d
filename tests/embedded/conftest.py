"""Fixtures: a directory of the test's own, and less patience."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streamq.server.embedded import probe
from tests.embedded.support import end_server


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    directory = tmp_path / "q"
    monkeypatch.setenv("STREAMQ_HOME", str(directory))
    monkeypatch.delenv("STREAMQ_URL", raising=False)
    yield directory
    end_server(directory)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up on a silent server early: these tests know that it stays silent."""
    monkeypatch.setattr(probe, "SILENCE", 0.2)
