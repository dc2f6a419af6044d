"""What streamq says in a dead letter, told apart from the entry's own fields."""

from __future__ import annotations

import pytest

from streamq.wire.dead_letter import NAMES, split

VALUES = [b"1-1", b"gave up", b"oops", b"frames", b"4", b"web"]
WITHOUT = [b"1-1", b"gave up", b"oops", b"", b"4", b"web"]


def letter(values: list[bytes]) -> list[bytes]:
    return [part for pair in zip(NAMES, values, strict=True) for part in pair]


WHOLE = letter(VALUES)
SHORT = WHOLE[:6] + WHOLE[8:]
OWN = [
    [],
    [b"type", b"t"],
    [b"traceback", b"mine", b"type", b"t"],
    [b"attempts", b"mine"],
    [b"id", b"mine", b"reason", b"mine"],
]


@pytest.mark.parametrize("own", OWN)
def test_with_and_without_a_traceback(own: list[bytes]) -> None:
    assert split("5-5", WHOLE + own) == (VALUES, own)
    assert split("5-5", SHORT + own) == (WITHOUT, own)


@pytest.mark.parametrize("fields", [[], [b"a", b"b"], WHOLE[2:], [*SHORT[:6], *WHOLE[6:10]]])
def test_one_that_was_written_by_hand(fields: list[bytes]) -> None:
    (id, reason, error, *rest), own = split("5-5", fields)
    assert (id, reason, error) == (b"5-5", b"", b"not written by streamq")
    assert rest == [b"", b"0", b""]
    assert own == fields
