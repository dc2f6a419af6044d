"""When to try again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamq import Backoff, Retry
from streamq.errors import ConfigError


def test_the_ceiling_doubles_up_to_the_cap() -> None:
    backoff = Backoff(base=1, factor=2, cap=10)
    assert [backoff.ceiling(attempt) for attempt in range(1, 7)] == [1, 2, 4, 8, 10, 10]


def test_the_wait_is_drawn_from_zero_to_the_ceiling() -> None:
    backoff = Backoff(base=1, factor=2, cap=10)
    assert backoff.delay(3, lambda: 0.0) == 0.0
    assert backoff.delay(3, lambda: 0.5) == 2.0
    assert backoff.delay(3, lambda: 1.0) == 4.0


def test_without_jitter_the_wait_is_the_ceiling() -> None:
    backoff = Backoff(base=3, factor=1, cap=10, jitter=False)
    assert [backoff.delay(attempt) for attempt in (1, 2, 99)] == [3, 3, 3]


@given(
    base=st.floats(0, 1e9), factor=st.floats(1, 1e9), cap=st.floats(0, 1e12),
    attempt=st.integers(1, 10**9),
)  # fmt: skip
def test_no_attempt_overflows(base: float, factor: float, cap: float, attempt: int) -> None:
    if base <= cap:
        backoff = Backoff(base, factor, cap)
        assert 0 <= backoff.delay(attempt) <= cap
        assert backoff.ceiling(attempt) <= backoff.ceiling(attempt + 1)


@pytest.mark.parametrize(
    "options",
    [
        {"base": -1}, {"base": 10, "cap": 5}, {"factor": 0.5}, {"cap": float("inf")},
        {"base": float("nan")}, {"factor": float("nan")}, {"cap": float("nan")},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="base"):
        Backoff(**options)


@pytest.mark.parametrize("delay", [-1, float("inf"), float("nan")])
def test_a_retry_needs_a_possible_delay(delay: float) -> None:
    with pytest.raises(ConfigError, match="delay"):
        Retry(delay=delay)


def test_a_retry_has_a_reason_and_a_delay() -> None:
    assert Retry().delay is None
    assert str(Retry("later", delay=5)) == "later"
    assert Retry(delay=0).delay == 0
