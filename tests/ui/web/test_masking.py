"""Fields that are not for everybody's eyes."""

from __future__ import annotations

from typing import Any

import pytest

from streamq.errors import ConfigError
from streamq.ui.web.masking import MASKED, Mask

DATA: dict[str, Any] = {
    "password": "a",
    "token": "b",
    "user": {"token": "c", "Password": {"old": "d"}, "name": "ann"},
    "cards": [{"number": "e", "kind": "f"}],
    "n": 1,
}


@pytest.mark.parametrize(
    ("patterns", "gone"),
    [
        ([], ""),
        (["password"], "ad"),
        (["*.token"], "c"),
        (["token"], "bc"),
        (["user.token"], "c"),
        (["cards.number"], "e"),
        (["*o*"], "abcd"),
        (["cards"], "ef"),
        (["PASSWORD", "*.NUMBER"], "ade"),
        (["nothing", "no.thing"], ""),
        ("password", "ad"),
    ],
)
def test_what_is_masked(patterns: Any, gone: str) -> None:
    shown = repr(Mask(patterns)(DATA))
    assert {letter for letter in "abcdef" if f"'{letter}'" not in shown} == set(gone)
    assert (MASKED in shown) == bool(gone)
    assert "'n': 1" in shown


def test_the_data_itself_stays() -> None:
    data = {"password": "a", "list": [{"password": "b"}]}
    Mask(["password"])(data)
    assert data == {"password": "a", "list": [{"password": "b"}]}


@pytest.mark.parametrize("patterns", [[""], [1], [None]])
def test_what_is_no_name_is_refused(patterns: Any) -> None:
    with pytest.raises(ConfigError, match="give names of fields"):
        Mask(patterns)
