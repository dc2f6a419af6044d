"""The checkers themselves: a proof is worth nothing if it cannot fail."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.faults.checker import Effect, Evidence, Letter, check, violations
from tests.faults.flow_checker import at_once, out_of_order, overlapping
from tests.faults.recorder import Begin, Delivery, Step

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


# -- order and limits ---------------------------------------------------------

ONE, TWO = Delivery("alpha", "1-0", 1), Delivery("alpha", "2-0", 1)


def begin(delivery: Delivery, consumer: str = "a") -> Step:
    return Step("begin", delivery, consumer, 1 if consumer == "a" else 2, "k")


def end(delivery: Delivery, consumer: str = "a") -> Step:
    return begin(delivery, consumer)._replace(what="end")


IN_ORDER = [begin(ONE), end(ONE), begin(SECOND, "b"), end(SECOND, "b"), begin(TWO), end(TWO)]
SETTLED = Evidence(
    retries={"alpha": 1}, produced=["1-0", "2-0"], effects=[Effect(SECOND, "b"), Effect(TWO, "a")]
)


def test_a_key_in_order() -> None:
    assert not [*out_of_order(IN_ORDER, SETTLED, "alpha"), *overlapping(IN_ORDER, "alpha", ())]
    # What a zombie begins or ends late contradicts nothing.
    late = [*IN_ORDER, begin(ONE, "c"), end(ONE, "c")]
    assert not list(out_of_order(late, SETTLED, "alpha"))


@pytest.mark.parametrize("order", [[0, 1, 4, 5, 2, 3], [0, 1, 2, 4, 3, 5], [4, 5, 0, 1, 2, 3]])
def test_a_key_out_of_order(order: list[int]) -> None:
    steps = [IN_ORDER[i] for i in order]
    [found] = out_of_order(steps, SETTLED, "alpha")
    assert found == "alpha, k: 2-0 was begun before the end of 1-0"


def test_deliveries_that_overlap() -> None:
    steps = [IN_ORDER[i] for i in (0, 2, 1, 3)]
    [found] = overlapping(steps, "alpha", ())
    assert found == "alpha: 1-0 was begun at delivery 2 while 1 ran"
    assert not list(overlapping(steps, "alpha", {"a"}))


def test_how_many_run_at_once() -> None:
    steps = [begin(ONE), begin(TWO), begin(SECOND, "b"), end(ONE), end(TWO), end(SECOND, "b")]
    assert at_once(steps, "alpha", by_key=True) == {"k": 2}
    lost = Step("lost", Delivery("", "", 0), "", 1)
    assert at_once([begin(ONE), lost, begin(TWO, "b")], "alpha", by_key=False) == {"": 1}
