"""What the tests of the metrics share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from streamq import App, Backoff, Settings
from streamq.observe.prometheus import Metrics
from tests import scraping
from tests.scraping import Scrape

ROOT = Path(__file__).parents[2]
AT_ONCE = Backoff(base=0.001, cap=0.001)

Labels = tuple[str, ...]


def scrape(metrics: Metrics) -> Scrape:
    return scraping.scrape(metrics.url)


@contextmanager
def serving(app: App) -> Iterator[Metrics]:
    with closing(Metrics(app.server, app.subscriptions())) as metrics:
        metrics.serve(port=0)
        yield metrics


def settings(**changes: Any) -> Settings:
    return Settings(**{"result_ttl": 0, **changes})


IMAGES = {"stream": "jobs", "group": "images"}
