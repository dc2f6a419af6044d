"""What the live view is made of: keys, figures, lines, tables, the cursor."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamq.ui.terminal import figures
from streamq.ui.terminal.keyboard import Keyboard
from streamq.ui.terminal.line import Line, cells, cut, wrapped
from streamq.ui.terminal.marks import ASCII, UNICODE, marks_for
from streamq.ui.terminal.selection import Selection
from streamq.ui.terminal.table import Column, table

TEXTS = st.text(st.sampled_from("ab é日本💥-"), max_size=20)


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        (b"ab", ["a", "b"]),
        (b"\r\n\t", ["enter", "enter", "tab"]),
        (b"\x1b[A\x1bOB", ["up", "down"]),
        (b"\x1b[5~\x1b[6~\x1b[1~\x1b[F", ["pageup", "pagedown", "home", "end"]),
        (b"\x1b[1;5Cx", ["x"]),
        ("é日".encode(), ["é", "日"]),
        (b"\x1b\x1b[A", ["esc", "up"]),
        (b"\x1bq", ["esc", "q"]),
        (b"\xff", ["\ufffd"]),
        (b"\x01\x02", []),
        (b"\x1b[200~py\n\x1b[201~q", ["paste:py\n", "q"]),
    ],
)
def test_keys(sent: bytes, keys: list[str]) -> None:
    keyboard = Keyboard()
    assert keyboard.keys(sent) == keys
    assert not keyboard.undecided
    # However it comes in pieces, it is the same; but an Esc that stands alone is one.
    if b"\x1b\x1b" not in sent:
        pieces = Keyboard()
        found = [key for byte in sent for key in pieces.keys(bytes([byte]))]
        assert found == keys


def test_esc_is_a_key_when_nothing_follows() -> None:
    keyboard = Keyboard()
    assert keyboard.keys(b"\x1b") == []
    assert keyboard.undecided
    assert keyboard.decide() == ["esc"]
    assert keyboard.keys(b"\x1b[") == []
    assert keyboard.decide() == []


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0"), (9999, "9999"), (10_000, "10k"), (99_949, "100k"), (999_499, "999k"),
        (999_500, "1.0M"), (1_200_000, "1.2M"), (12_000_000, "12M"), (3e9, "3.0G"), (None, "-"),
    ],
)  # fmt: skip
def test_counts(number: float | None, shown: str) -> None:
    assert figures.count(number) == shown


@given(st.floats(0, 1e15))
def test_figures_keep_to_their_columns(number: float) -> None:
    assert len(figures.count(number)) <= 4
    assert len(figures.rate(number)) <= 4
    assert len(figures.age(min(number, 9e8))) <= 5


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.4, "<1s"), (42.9, "42s"), (185, "3m5s"), (600, "10m"), (6000, "1h40m"), (36000, "10h"),
        (9 * 86400 + 3600, "9d1h"), (86400 * 23, "23d"), (86400 * 20789, "56y"), (None, "-"),
    ],
)  # fmt: skip
def test_ages(seconds: float | None, shown: str) -> None:
    assert figures.age(seconds) == shown


@pytest.mark.parametrize(
    ("rate", "shown"), [(None, "-"), (0, "0"), (0.01, "<0.1"), (0.31, "0.3"), (42.4, "42")]
)
def test_rates(rate: float | None, shown: str) -> None:
    assert figures.rate(rate) == shown


def test_sparklines() -> None:
    assert UNICODE.sparkline([None, 0, 1, 50, 100], 6) == "  ▁▂▅█"
    assert UNICODE.sparkline([0, 0], 2) == "▁▁"
    assert UNICODE.sparkline([1, 2, 3], 2) == "▆█"
    assert UNICODE.sparkline([], 3) == "   "
    assert ASCII.sparkline([0, 100], 2) == "_@"
    assert marks_for("utf-8") is UNICODE
    assert marks_for("ascii") is marks_for(None) is marks_for("no such") is ASCII


@given(st.lists(TEXTS, max_size=4), st.integers(1, 30))
def test_a_fitted_line_is_as_wide_as_it_should_be(texts: list[str], width: int) -> None:
    line = Line(*texts)
    fitted = line.fitted(width)
    assert fitted.width == width
    if line.width <= width:
        assert fitted.plain == line.plain + " " * (width - line.width)
    else:
        assert "…" in fitted.plain


@given(TEXTS, st.integers(2, 30))
def test_wrapped_text_is_all_there(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert all(cells(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_styles() -> None:
    line = Line(("a", "bold red"), "b", ("c", "reverse"), ("", "red"))
    assert line.ansi() == "\x1b[1;31ma\x1b[0mb\x1b[7mc\x1b[0m"
    assert line.ansi(colors=False) == "\x1b[1ma\x1b[0mb\x1b[7mc\x1b[0m"
    assert line.styled("red").ansi(colors=False) == "abc"
    assert cut("日本", 3) == "日…"


COLUMNS = [
    Column[tuple[str, int]]("NAME", lambda row: (row[0], ""), 6, grows=True, right=False),
    Column[tuple[str, int]]("COUNT", lambda row: (str(row[1]), "")),
    Column[tuple[str, int]](
        "MORE", lambda row: ("x" * row[1], ""), grows=True, right=False, rank=1
    ),
]


def test_a_table_leaves_out_what_is_least_wanted() -> None:
    rows = [("images", 3), ("newsletter", 12)]

    def shown(width: int | None) -> list[str]:
        found = table(COLUMNS, rows, width)
        return [line.plain.rstrip() for line in (found.header, *found.rows)]

    assert shown(None) == shown(80) == [
        "NAME        COUNT  MORE",
        "images          3  xxx",
        "newsletter     12  xxxxxxxxxxxx",
    ]  # fmt: skip
    assert shown(20) == ["NAME     COUNT MORE", "images       3 xxx", "newslet…    12 xxxx…"]
    assert shown(12) == ["NAME   COUNT", "images     3", "newsl…    12"]
    assert shown(5) == shown(12)


@given(st.lists(st.tuples(TEXTS, st.integers(0, 99999)), max_size=5), st.integers(12, 60))
def test_a_table_keeps_to_its_width(rows: list[tuple[str, int]], width: int) -> None:
    found = table(COLUMNS, rows, width)
    assert all(line.width <= width for line in (found.header, *found.rows))
    assert len({line.width for line in (found.header, *found.rows)}) == 1


def test_the_cursor_stays_on_its_row() -> None:
    selection = Selection()
    selection.renew([])
    assert selection.press("down")
    assert selection.key is None
    selection.renew(["a", "b", "c", "d", "e"])
    assert [*selection.window(3)] == [0, 1, 2]
    for key in ("down", "j", "down"):
        selection.press(key)
    assert selection.key == "d"
    assert [*selection.window(3)] == [1, 2, 3]
    selection.renew(["x", "y", "d", "a"])
    assert selection.index == 2
    selection.renew(["x", "y"])  # it is gone: the row in its place is meant
    assert selection.key == "y"
    assert selection.press("home")
    assert selection.key == "x"
    assert [*selection.window(1)] == [0]
    assert not selection.press("q")
