"""Waiting for the ends of jobs: what became of them, what they returned, how far they are."""

from streamq.results.finished import Finished, State
from streamq.results.progress import Progress
from streamq.results.results import Results

__all__ = ["Finished", "Progress", "Results", "State"]
