"""Throw-away servers, workers that drain them, and the fixtures for pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from streamq import App, Backoff, testing
from streamq.testing import Outcome
from tests.markdown import ROOT


@pytest.mark.anyio
async def test_a_server_is_real_empty_and_gone_afterwards() -> None:
    async with testing.server() as url, App(url) as app:
        socket = unquote(url.removeprefix("unix://"))

        @app.group("g", retries=1, backoff=Backoff(base=0)).handler("t")
        def handle(n: int) -> int:
            return 10 // n

        await app.produce_many([("t", {"n": 5}), ("t", {"n": 0})])
        done = await testing.drain(app)
        assert sorted((one.outcome.value, one.attempt) for one in done) == [
            ("dead", 2), ("retry", 1), ("succeeded", 1),
        ]  # fmt: skip
        assert [one.result for one in done if one.outcome is Outcome.SUCCEEDED] == [2]
        assert (await testing.drain(app)) == []
    with pytest.raises(FileNotFoundError):
        os.stat(socket)


TESTS = """
import pytest
from streamq import App, testing

pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.mark.parametrize("n", [1, 2])
async def test_each_finds_an_empty_server(streamq_url, n):
    async with App(streamq_url) as app:
        app.handler("t")(lambda: None)
        await app.produce("t")
        assert len(await testing.drain(app)) == 1
        await app.produce("left over")

async def test_the_app(streamq_app, streamq_url):
    assert streamq_app.url == streamq_url
    async with streamq_app:
        await streamq_app.produce("t", {"n": 1})
        [done] = await testing.drain(streamq_app)
        assert done.result == "mine"
"""

SHOP = """
from streamq import App

app = App("redis://localhost:1")

@app.handler("t")
async def handle(n: int) -> str:
    return "mine"
"""


def test_pytest_finds_the_fixtures(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "test_shop.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nstreamq_app = shop:app\npythonpath = .\nfilterwarnings = error\n"
    )
    plugin = [] if registered() else ["-p", "streamq.testing.pytest_plugin"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugin], cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def registered() -> bool:
    """Whether the installed package names the plugin; an older install of this tree may not."""
    from importlib.metadata import entry_points

    return any(point.name == "streamq" for point in entry_points(group="pytest11"))
