"""Fixtures: a rig for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.faults.rig import Rig
from tests.servers import RedisServer


@pytest.fixture
def make_rig(make_server: Callable[..., RedisServer]) -> Iterator[Callable[..., Rig]]:
    """Make rigs on servers of their own: ``make_rig("--appendonly", "yes")``."""
    rigs: list[Rig] = []

    def make(*options: str) -> Rig:
        rigs.append(Rig(make_server(*options)))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    """A rig on a server without options."""
    return make_rig()
