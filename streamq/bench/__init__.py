"""A small benchmark of one's own server: what it can do, and what one worker makes of it.

It works on streams of its own, with random names, and removes each when it has served.
Should the process be killed, what is left expires by itself.
"""

from streamq.bench.measure import Bench
from streamq.bench.report import BenchReport, Drained, Percentiles, Processed

__all__ = ["Bench", "BenchReport", "Drained", "Percentiles", "Processed"]
