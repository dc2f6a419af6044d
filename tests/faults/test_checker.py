"""The checker itself: a proof is worth nothing if it cannot fail."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.faults.checker import Effect, Evidence, Letter, check, violations
from tests.faults.recorder import Begin, Delivery

FIRST = Delivery("alpha", "1-0", 1)
SECOND = Delivery("alpha", "1-0", 2)

GOOD = Evidence(
    retries={"alpha": 1},
    produced=["1-0", "2-0"],
    begins=[Begin(FIRST, "a", 1), Begin(Delivery("alpha", "2-0", 1), "a", 1)],
    effects=[Effect(FIRST, "a")],
    letters=[Letter("alpha", "2-0", 1, "gave up")],
    succeeded={"alpha": {"1-0": 1}},
)


def test_a_good_run() -> None:
    report = check(GOOD)
    assert (report.produced, report.handled, report.dead, report.replays) == (2, 1, 1, 0)


@pytest.mark.parametrize(
    ("bad", "found"),
    [
        (replace(GOOD, letters=[]), "2-0 was lost"),
        (replace(GOOD, letters=[Letter("alpha", "2-0", 1, "")]), "gives no reason"),
        (replace(GOOD, letters=[*GOOD.letters, GOOD.letters[0]]), "2 dead letters"),
        (replace(GOOD, letters=[*GOOD.letters, Letter("alpha", "1-0", 1, "x")]), "both"),
        (replace(GOOD, effects=[*GOOD.effects, *GOOD.effects]), "took effect 2 times"),
        (replace(GOOD, effects=[]), "but not both"),
        (replace(GOOD, succeeded={"alpha": {}}), "but not both"),
        (replace(GOOD, succeeded={"alpha": {"1-0": 2}}), "its record says 2"),
        (replace(GOOD, leftovers=["1 entries in the stream"]), "1 entries"),
        (
            replace(GOOD, begins=[*GOOD.begins, Begin(Delivery("alpha", "1-0", 3), "b", 2)]),
            "begun at delivery 3",
        ),
        (replace(GOOD, begins=[*GOOD.begins, Begin(FIRST, "b", 2)]), "begun 2 times"),
        (replace(GOOD, begins=[*GOOD.begins, Begin(SECOND, "b", 2)]), "settled at delivery 1 of 2"),
        (replace(GOOD, effects=[Effect(FIRST, "b")]), "by one that never began it"),
    ],
)
def test_a_bad_run(bad: Evidence, found: str) -> None:
    assert any(found in violation for violation in violations(bad))
    with pytest.raises(AssertionError, match=found):
        check(bad)


def test_what_was_given_back_may_be_begun_again() -> None:
    begins = [*GOOD.begins, Begin(FIRST, "b", 2)]
    assert not violations(replace(GOOD, begins=begins, released=[FIRST]))
    assert not violations(replace(GOOD, begins=begins, stopped={"b"}))


def test_what_somebody_else_removed_is_no_loss_of_ours() -> None:
    assert not violations(replace(GOOD, letters=[]), lost=["2-0"])
