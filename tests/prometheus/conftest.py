"""Fixtures: metrics of a server that is not there, an app, and the real Prometheus."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from streamq import App
from tests.servers import RedisServer, binaries, free_port


@pytest.fixture
def offline() -> App:
    app = App("redis://127.0.0.1:1")
    app.group("images").handler("resize")(lambda: None)
    return app


@pytest.fixture
async def any_app() -> AsyncIterator[App]:
    """An app on one kind of server: it makes no difference to Prometheus."""
    server = RedisServer(next(iter(binaries().values()))).start()
    async with App(server.unix_url) as app:
        yield app
    server.stop()


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Start Prometheus with a configuration; returns where its API is."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed (Debian: apt install prometheus)")
    started: list[subprocess.Popen[bytes]] = []

    def start(config: str) -> str:
        (tmp_path / "prometheus.yml").write_text(config)
        address = f"127.0.0.1:{free_port()}"
        with (tmp_path / "log").open("wb") as log:
            started.append(
                subprocess.Popen(
                    [
                        program, f"--config.file={tmp_path}/prometheus.yml",
                        f"--storage.tsdb.path={tmp_path}/data",
                        f"--web.listen-address={address}",
                    ],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                )
            )  # fmt: skip
        return f"http://{address}/api/v1"

    yield start
    for process in started:
        process.kill()
        process.wait()
