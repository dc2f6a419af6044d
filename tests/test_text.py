"""Text from payloads and servers, made safe to show."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamq.text import printable


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        ("é € 😀", "é € 😀"),
        ("a\nb\tc\r", r"a\x0ab\x09c\x0d"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x00\x7f\x9b", r"\x00\x7f\x9b"),
        ("\u2028\u2029", r"\u2028\u2029"),
        ("\u202eabc\u2066", r"\u202eabc\u2066"),
        ("\u061c\u200e\u200f", r"\u061c\u200e\u200f"),
        ("\ud800", r"\ud800"),
        (b"bytes", "bytes"),
        (b"\xff\xfe", r"\xff\xfe"),
        (b"\xc3\xa9", "é"),
        (7, "7"),
        (None, "None"),
        (ValueError("bad\n"), r"bad\x0a"),
        ("", ""),
    ],
)
def test_control_characters_are_escaped(value: object, shown: str) -> None:
    assert printable(value) == shown


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [("abcdef", 6, "abcdef"), ("abcdefg", 6, "abcde…"), ("abc", 1, "…")],
)
def test_long_text_is_cut(text: str, limit: int, shown: str) -> None:
    assert printable(text, limit) == shown


class Broken:
    """What cannot be shown, as some exceptions cannot."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def test_what_has_no_text_is_named_by_its_type() -> None:
    assert printable(Broken()) == "<Broken>"
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert printable(deep) == "<list>"
    while deep:
        deep = deep.pop()  # type: ignore[assignment]  # taken apart, or freeing it would recurse


@given(st.one_of(st.text(), st.binary()))
def test_the_result_has_no_control_characters_and_fits_utf_8(value: str | bytes) -> None:
    shown = printable(value)
    shown.encode()
    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert len(shown.splitlines()) <= 1
