"""What the log says of a worker that stops."""

from __future__ import annotations

import logging

import pytest

from streamq.observe.log_lines import LogObserver
from streamq.signals import Leaving, Signal, Stopping


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Stopping(0, 30), "Stopping"),
        (
            Stopping(1, 30),
            "Stopping: waiting up to 30 s for 1 running job; a second signal leaves at once",
        ),
        (
            Stopping(2, 0.5),
            "Stopping: waiting up to 0.5 s for 2 running jobs; a second signal leaves at once",
        ),
        (Leaving(1, 30), "Leaving at once: another worker reclaims 1 running job in 30 s"),
        (Leaving(2, 30), "Leaving at once: another worker reclaims 2 running jobs in 30 s"),
    ],
)
def test_a_worker_that_stops(event: Signal, line: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "streamq"):
        LogObserver()(event)

    assert caplog.messages == [line]
