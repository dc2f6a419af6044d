"""Metrics for Prometheus: an observer of workers, and what the server holds.

::

    metrics = Metrics(app.server, app.subscriptions())
    print(metrics.serve(port=8000))
    try:
        await app.worker(observers=[metrics]).run()
    finally:
        metrics.close()

Counters and histograms say what the workers of this process did; they come from the
events. Gauges say what the server holds for each group, whoever works on it; the server
is asked at each scrape.
"""

from streamq.observe.prometheus.collector import Metrics
from streamq.observe.prometheus.histogram import BUCKETS, Histogram

__all__ = ["BUCKETS", "Histogram", "Metrics"]
