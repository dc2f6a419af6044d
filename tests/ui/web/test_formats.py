"""Numbers, times and lines as pages show them."""

from __future__ import annotations

import pytest

from streamq.ui.web import formats
from streamq.ui.web.charts import HEIGHT, WIDTH, line, top_of


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "—"), (0, "0"), (1204, "1,204"), (9_999_999, "9,999,999"), (12_340_000, "12.3 M")],
)
def test_numbers(count: float | None, text: str) -> None:
    assert formats.number(count) == text


@pytest.mark.parametrize(
    ("rate", "text"), [(None, "—"), (0, "0"), (0.42, "0.4"), (99.94, "99.9"), (1234.5, "1,234")]
)
def test_rates(rate: float | None, text: str) -> None:
    assert formats.rate(rate) == text


@pytest.mark.parametrize(
    ("seconds", "span", "age"),
    [
        (None, "—", "—"), (0, "0 s", "0 s"), (0.0004, "1 ms", "< 1 s"), (0.25, "250 ms", "< 1 s"),
        (3.21, "3.2 s", "3 s"), (59.9, "60 s", "59 s"), (60, "1 min", "1 min"),
        (725.5, "12 min 5 s", "12 min 5 s"), (7200, "2 h", "2 h"), (9000, "2 h 30 min", None),
        (90_000, "1 d 1 h", None),
    ],
)  # fmt: skip
def test_spans(seconds: float | None, span: str, age: str | None) -> None:
    assert formats.span(seconds) == span
    assert age is None or formats.age(seconds) == age


def test_the_upper_edge_is_a_round_number() -> None:
    assert top_of() == 1
    assert [top_of([(0, value)], spans=True) for value in (40, 200, 90_000)] == [60, 300, 172_800]
    assert top_of([(0, 0.3)], [(0, None)]) == 1
    assert [top_of([(0, value)]) for value in (1.5, 2, 4.2, 9, 1001)] == [2, 2, 5, 10, 2000]


def test_a_line_ends_where_nothing_is_known() -> None:
    now = 100.0
    points = [(0.0, 1.0), (90.0, 0.0), (92.0, 10.0), (94.0, None), (96.0, 10.0), (100.0, 5.0)]
    drawn = line(points, now, seconds=10, top=10, gap=3)
    assert drawn.split("M")[1:] == [
        f"0.0 {HEIGHT - 1}.0h0L{WIDTH * 0.2:.1f} 1.0",
        f"{WIDTH * 0.6:.1f} 1.0h0",
        f"{WIDTH:.1f} {HEIGHT / 2:.1f}h0",
    ]
