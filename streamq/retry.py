"""Another attempt, and when: what a handler may raise, and the backoff between attempts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streamq.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with full jitter, capped.

    The wait before attempt ``n + 1`` is drawn evenly from zero to
    ``min(cap, base * factor ** (n - 1))`` seconds; see "Exponential Backoff And
    Jitter" (Marc Brooker, AWS Architecture Blog, 2015).

    Args:
        base: seconds, the ceiling of the first wait.
        factor: growth of the ceiling from one try to the next.
        cap: seconds, the highest ceiling.
        jitter: ``False`` waits exactly the ceiling.
    """

    base: float = 1.0
    factor: float = 2.0
    cap: float = 300.0
    jitter: bool = True

    def __post_init__(self) -> None:
        if not (0 <= self.base <= self.cap < float("inf") and self.factor >= 1):
            raise ConfigError(f"{self}: needs 0 <= base <= cap (seconds) and factor >= 1")

    def ceiling(self, attempt: int) -> float:
        """The longest wait in seconds after ``attempt`` (1 is the first) failed."""
        if self.base == 0:
            return 0.0
        try:
            return min(self.cap, self.base * self.factor ** min(attempt - 1, 64))
        except OverflowError:
            return self.cap

    def delay(self, attempt: int, rand: Callable[[], float] | None = None) -> float:
        """Seconds to wait after ``attempt`` failed."""
        from random import random  # most commands never wait

        ceiling = self.ceiling(attempt)
        return ceiling * (rand or random)() if self.jitter else ceiling


class Retry(Exception):
    """Raised by a handler to try the job again later.

    It counts as a delivery like any failure: when the retries are used up, the
    job goes to the dead letters.

    Args:
        reason: kept as the job's last error.
        delay: seconds until the next try; ``None`` takes the handler's backoff.
    """

    def __init__(self, reason: str = "retry requested", *, delay: float | None = None) -> None:
        if delay is not None and not 0 <= delay < float("inf"):
            raise ConfigError(f"Retry(delay={delay!r}): give seconds, zero or more")
        super().__init__(reason)
        self.delay = delay


class Dead(Exception):
    """Raised by a handler to give the job up: it goes to the dead letters at once.

    Args:
        reason: kept with the dead letter.
    """
