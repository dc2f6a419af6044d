"""What the tests of the metrics share."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from streamq import App, Backoff, Settings
from streamq.observe.prometheus import Metrics
from tests import scraping
from tests.scraping import Scrape

ROOT = Path(__file__).parents[2]
AT_ONCE = Backoff(base=0.001, cap=0.001)

Labels = tuple[str, ...]


def scrape(metrics: Metrics) -> Scrape:
    return scraping.scrape(metrics.url)


class Probed(NamedTuple):
    """What a probe answered."""

    status: int
    text: str


def probe(url: str | None, path: str) -> Probed:
    """Ask for another path where metrics are served, as an orchestrator does."""
    assert url is not None
    try:
        with urllib.request.urlopen(urllib.parse.urljoin(url, path), timeout=20) as response:
            return Probed(response.status, response.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Probed(error.code, error.read().decode())


def samples(api: str, promql: str, seconds: float = 60) -> list[dict[str, Any]]:
    """The answer of a Prometheus to a query, once there is one."""
    end = time.monotonic() + seconds
    url = f"{api}/query?" + urllib.parse.urlencode({"query": promql})
    while True:
        found: list[dict[str, Any]] = []
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                found = json.load(response)["data"]["result"]
        except urllib.error.HTTPError as error:
            with error:
                if error.code != 503:  # which it says while it is still starting
                    raise AssertionError(f"{promql}: {error.read().decode()}") from None
        except OSError:
            pass  # it is still starting
        if found or time.monotonic() > end:
            return found
        time.sleep(0.1)  # it scrapes at its own pace, and tells nobody


def query(api: str, promql: str) -> dict[Labels, float]:
    """The answer to a query by stream, group and type, once there is one."""
    return {
        tuple(item["metric"].get(label, "") for label in ("stream", "group", "type")):
            float(item["value"][1])
        for item in samples(api, promql)
    }  # fmt: skip


@contextmanager
def serving(app: App) -> Iterator[Metrics]:
    with closing(Metrics(app.server, app.subscriptions())) as metrics:
        metrics.serve(port=0)
        yield metrics


def settings(**changes: Any) -> Settings:
    return Settings(**{"result_ttl": 0, **changes})


IMAGES = {"stream": "jobs", "group": "images"}
