"""What is in ``deploy/``: the alerts, tested with promtool, and the dashboard on a Prometheus."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from streamq import App
from streamq.observe.prometheus.exporter import Exporter
from streamq.observe.prometheus.merge import MergedMetrics, Scoreboard
from tests.cli.support import Program
from tests.prometheus.support import ROOT, samples
from tests.servers import RedisServer, binaries, free_port

DEPLOY = ROOT / "deploy"
RULES = (DEPLOY / "alerts.yml").read_text()
ALERTS = re.findall(r"- alert: (\w+)", RULES)

WORKER = """
import datetime
from streamq import App, Dead, Job, Retry

app = App()
images = app.group("images", max_in_flight=8)

@images.handler("resize")
async def resize() -> None: ...

@images.handler("flaky", retries=3)
async def flaky(job: Job) -> None:
    raise Retry(delay=0.01) if job.attempt < 3 else Dead("no good")

@images.every(datetime.timedelta(seconds=1))
async def tidy() -> None: ...
"""


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize("command", ["check rules alerts.yml", "test rules alerts_test.yml"])
def test_the_alerts_fire_when_they_should(command: str) -> None:
    done = subprocess.run(
        ["promtool", *command.split()], cwd=DEPLOY, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_tests_and_its_place_in_the_documentation() -> None:
    tests = (DEPLOY / "alerts_test.yml").read_text()
    page = (ROOT / "docs" / "alerts.md").read_text()
    links = re.findall(r"runbook_url: \S*/docs/alerts\.md#(\w+)$", RULES, re.M)

    assert links == [alert.lower() for alert in ALERTS]
    assert re.findall(r"^### (Streamq\w+)$", page, re.M) == ALERTS
    assert re.findall(r"^        alertname: (\w+)\n        exp_alerts:\n", tests, re.M) == ALERTS
    assert re.findall(r"alertname: (\w+), exp_alerts: \[\]", tests) == ALERTS
    for what in ("summary", "description", "severity"):
        assert len(re.findall(rf"\b{what}: ", RULES)) == len(ALERTS)


def test_what_alerts_look_at_is_there(offline: App) -> None:
    with (
        closing(
            MergedMetrics(
                offline.server, offline.subscriptions(), scoreboard=Scoreboard(), pids=dict
            )
        ) as metrics,
        closing(Exporter(offline.server)) as exporter,
    ):
        known = {family.name for family in (*metrics.describe(), *exporter.describe())}
    asked = set(re.findall(r"\b((?:job|streamq)_\w+?)(?:_total|_bucket)?\b[\[{) ]", RULES))

    assert asked
    assert asked - known == set()


# -- the dashboard --------------------------------------------------------------

DASHBOARD = json.loads((DEPLOY / "grafana" / "streamq.json").read_text())


def panels() -> Iterator[dict[str, Any]]:
    """All panels that show something."""
    return (panel for panel in DASHBOARD["panels"] if panel["type"] != "row")


def queries() -> list[str]:
    """All queries of the dashboard, as Grafana would send them."""
    asked = [target["expr"] for panel in panels() for target in panel["targets"]]
    asked += [
        f"count by ({label}) ({metric})"
        for variable in DASHBOARD["templating"]["list"]
        if variable["type"] == "query"
        for metric, label in re.findall(r"^label_values\((.*), (\w+)\)$", variable["definition"])
    ]
    values = {"$stream": ".*", "$group": ".*", "$__rate_interval": "1m"}
    for name, value in values.items():
        asked = [query.replace(name, value) for query in asked]
    return asked


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """A worker of two processes and an exporter; the addresses of their metrics."""
    (tmp_path / "worker.py").write_text(WORKER)
    monkeypatch.chdir(tmp_path)
    server = RedisServer(next(iter(binaries().values()))).start()
    monkeypatch.setenv("STREAMQ_URL", server.unix_url)
    anyio.run(produce, server.unix_url)
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    ports = [address.rpartition(":")[2] for address in addresses]
    programs = [
        Program(["consume", "-a", "worker:app", "-p", "2", "--metrics-port", ports[0]]),
        Program(["exporter", "--port", ports[1], "--interval", "100ms"]),
    ]
    try:
        for program in programs:
            program.wait_for("; metrics: http://")
        yield addresses[0], addresses[1]
    finally:
        for program in programs:
            program.kill()
        server.stop()


async def produce(url: str) -> None:
    """Jobs that succeed, some that fail, and one for later."""
    async with App(url) as app:
        await app.produce_many([("resize", {})] * 20 + [("flaky", {})] * 3)
        await app.produce("resize", delay=0.5)


@pytest.mark.slow
def test_every_query_of_the_dashboard_has_an_answer(
    deployment: tuple[str, str], prometheus: Callable[[str], str]
) -> None:
    config = (ROOT / "prometheus.yml").read_text()
    for old, new in (
        ("localhost:8000", deployment[0]), ("localhost:8001", deployment[1]),
        ("scrape_interval: 5s", "scrape_interval: 1s"),
        ("deploy/alerts.yml", str(DEPLOY / "alerts.yml")),
    ):  # fmt: skip
        assert old in config
        config = config.replace(old, new)
    api = prometheus(config)
    # All that happens to jobs has been scraped, and twice, so that there are rates.
    samples(api, "sum(job_dead_total) == 3 and sum(streamq_schedule_late_seconds_count) > 0")
    samples(api, "min(count_over_time(streamq_workers_ready[1m])) >= 2")

    asked = queries()
    assert len(asked) > 50
    unanswered = [query for query in asked if not samples(api, query, seconds=10)]
    assert unanswered == []
    found = {item["metric"]["alertname"] for item in samples(api, "ALERTS", seconds=0)}
    assert found <= set(ALERTS)


def test_the_dashboard_is_complete_and_legible() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not taken & cells, f"{panel['title']} lies over another panel"
        taken |= cells
    for panel in panels():
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all(t["datasource"]["uid"] == "${datasource}" for t in panel["targets"])
