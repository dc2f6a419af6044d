"""The garbage collector of a process that only works."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from streamq.process.gc import YOUNG, collect_less


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.enable()
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def test_it_looks_less_often_and_at_less() -> None:
    _, *older = gc.get_threshold()
    collect_less()
    assert gc.get_threshold() == (YOUNG, *older)
    assert gc.get_freeze_count() > 1000


def test_a_second_worker_changes_nothing() -> None:
    collect_less()
    frozen = gc.get_freeze_count()
    collect_less()
    assert gc.get_freeze_count() == frozen


@pytest.mark.parametrize("young", [0, YOUNG, 50_000])
def test_what_somebody_has_set_stays(young: int) -> None:
    thresholds = (young, 7, 8)
    gc.set_threshold(*thresholds)
    collect_less()
    assert gc.get_threshold() == thresholds
    assert gc.get_freeze_count() == 0


def test_a_collector_switched_off_stays_so() -> None:
    gc.disable()
    collect_less()
    assert not gc.isenabled()
    assert gc.get_freeze_count() == 0
