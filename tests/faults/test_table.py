"""The table of faults in the documentation, and the tests that it names."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "reliability.md").read_text("utf-8")


def test_the_tests_that_the_page_names_exist() -> None:
    files = {path.name for path in TESTS.rglob("test_*.py")}
    tests = re.findall(r"def (test_\w+)", "".join(path.read_text() for path in TESTS.rglob("*.py")))
    named = re.findall(r"`(test_[\w.…]+)`", PAGE)
    assert len(named) > 40
    for name in named:
        if name.endswith(".py"):
            assert name in files
        else:
            # A … stands for whatever the names of several tests have in its place.
            pattern = re.compile(name.replace("…", r"\w+"))
            assert any(pattern.fullmatch(test) for test in tests), name
