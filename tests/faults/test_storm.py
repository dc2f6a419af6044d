"""All faults together; longer and with a seed of one's own by ``scripts/chaos``."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest

from tests.faults.rig import Rig
from tests.faults.storm import SERVER_OPTIONS, Storm

SECONDS = float(os.environ.get("STREAMQ_STORM_SECONDS", "60"))


@pytest.mark.timeout(SECONDS + 180)
# The proxy, in this process, is told to drop connections that are just being accepted.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_storm(make_rig: Callable[..., Rig]) -> None:
    seed = int(os.environ.get("STREAMQ_STORM_SEED", random.randrange(10**6)))
    print(f"STREAMQ_STORM_SEED={seed}")  # shown when the test fails
    print(Storm(make_rig(*SERVER_OPTIONS), seed).run(SECONDS))
