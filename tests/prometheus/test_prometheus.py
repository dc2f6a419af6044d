"""The real Prometheus, where it is installed, and what the documentation says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from streamq import App, Job, Retry
from streamq.observe.prometheus.merge import MergedMetrics, Scoreboard
from tests.prometheus.support import AT_ONCE, ROOT, Labels, serving, settings
from tests.servers import RedisServer, binaries, free_port

pytestmark = pytest.mark.anyio


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


def query(api: str, promql: str, seconds: float = 60) -> dict[Labels, float]:
    """The answer to a query by stream, group and type, once there is one."""
    end = time.monotonic() + seconds
    url = f"{api}/query?" + urllib.parse.urlencode({"query": promql})
    while True:
        found: list[dict[str, Any]] = []
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                found = json.load(response)["data"]["result"]
        except OSError:
            pass  # it is still starting
        if found or time.monotonic() > end:
            return {
                tuple(item["metric"].get(label, "") for label in ("stream", "group", "type")):
                    float(item["value"][1])
                for item in found
            }  # fmt: skip
        time.sleep(0.1)  # it scrapes at its own pace, and tells nobody


@pytest.fixture
async def any_app() -> AsyncIterator[App]:
    """An app on one kind of server: it makes no difference to Prometheus."""
    server = RedisServer(next(iter(binaries().values()))).start()
    async with App(server.unix_url) as app:
        yield app
    server.stop()


async def test_prometheus_reads_it(any_app: App, prometheus: Callable[[str], str]) -> None:
    @any_app.group("images").handler("good")
    async def good() -> None: ...

    @any_app.group("images").handler("flaky", retries=1, backoff=AT_ONCE)
    async def flaky(job: Job) -> None:
        if job.attempt == 1:
            raise Retry

    await any_app.produce_many([("good", {})] * 3 + [("flaky", {})])
    with serving(any_app) as metrics:
        await any_app.worker(observers=[metrics], settings=settings(), burst=True).run()
        await any_app.produce_many([("good", {})] * 2)

        config = (ROOT / "prometheus.yml").read_text()
        assert "localhost:8000" in config
        assert "scrape_interval: 5s" in config
        address = urllib.parse.urlsplit(metrics.url or "").netloc
        config = config.replace("scrape_interval: 5s", "scrape_interval: 1s")
        api = prometheus(config.replace("localhost:8000", address))

        assert query(api, "job_queue_length") == {("jobs", "images", ""): 2}
        assert query(api, "job_success_total") == {
            ("jobs", "images", "good"): 3,
            ("jobs", "images", "flaky"): 1,
            ("jobs", "images", "*"): 0,
        }
        assert query(api, "job_failure_total > 0") == {("jobs", "images", "flaky"): 1}
        assert query(api, "job_wait_seconds_count > 0") == {
            ("jobs", "images", "good"): 3,
            ("jobs", "images", "flaky"): 1,
        }


def test_every_metric_is_documented(offline: App) -> None:
    with closing(
        MergedMetrics(offline.server, offline.subscriptions(), scoreboard=Scoreboard(), pids=dict)
    ) as metrics:
        exposed = {
            family.name + ("_total" if family.type == "counter" else "")
            for family in metrics.describe()
        }
    text = (ROOT / "docs" / "metrics.md").read_text()

    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == exposed


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_the_configuration_and_the_documented_alerts_are_valid(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "metrics.md").read_text()
    (rules,) = re.findall(r"```yaml\n(groups:.*?)```", text, re.DOTALL)
    path = tmp_path / "alerts.yml"
    path.write_text(rules)
    for command in (
        ["promtool", "check", "rules", str(path)],
        ["promtool", "check", "config", str(ROOT / "prometheus.yml")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
