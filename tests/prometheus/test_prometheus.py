"""The real Prometheus, where it is installed, and what the documentation says."""

from __future__ import annotations

import re
import shutil
import subprocess
import urllib.parse
from collections.abc import Callable
from contextlib import closing

import pytest

from streamq import App, Job, Retry
from streamq.observe.prometheus.exporter import Exporter
from streamq.observe.prometheus.merge import MergedMetrics, Scoreboard
from tests.prometheus.support import AT_ONCE, ROOT, query, serving, settings

pytestmark = pytest.mark.anyio


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
        config = config.replace("deploy/alerts.yml", str(ROOT / "deploy/alerts.yml"))
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
    with (
        closing(
            MergedMetrics(
                offline.server, offline.subscriptions(), scoreboard=Scoreboard(), pids=dict
            )
        ) as metrics,
        closing(Exporter(offline.server)) as exporter,
    ):
        exposed = {
            family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
            for family in (*metrics.describe(), *exporter.describe())
        }
    text = (ROOT / "docs" / "metrics.md").read_text()

    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == exposed


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_the_configuration_is_valid() -> None:
    done = subprocess.run(
        ["promtool", "check", "config", str(ROOT / "prometheus.yml")],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
