"""Floods of messages are summed up."""

from __future__ import annotations

import logging

import pytest

from streamq.observe.summary import EVERY, FIRST, Summary
from tests.waiting import eventually


@pytest.fixture
def logger() -> logging.Logger:
    logger = logging.Logger("flooded", logging.INFO)
    logger.parent = logging.getLogger()
    return logger


def test_the_first_are_logged_and_the_rest_is_counted(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    logger.addFilter(Summary(logger, lambda: now))
    for number in range(FIRST + 7800):
        logger.warning("Job %d came too late", number)
    logger.error("something else")
    assert len(caplog.messages) == FIRST + 1
    now += EVERY
    logger.warning("Job %d came too late", 1)
    assert caplog.messages[-2:] == [
        "... and 7,800 more in 1 s: Job %d came too late",
        "Job 1 came too late",
    ]


@pytest.mark.anyio
async def test_the_sum_comes_without_another_message(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamq.observe.summary.EVERY", 0.01)
    logger.addFilter(Summary(logger))
    for _ in range(FIRST + 2):
        logger.warning("Job lost")
    await eventually(lambda: "... and 2 more in 0 s: Job lost" in caplog.messages)


def test_at_debug_nothing_is_left_out(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    logger.setLevel(logging.DEBUG)
    logger.addFilter(Summary(logger))
    with caplog.at_level(logging.DEBUG):
        for _ in range(FIRST + 5):
            logger.warning("Job lost")
    assert len(caplog.messages) == FIRST + 5
