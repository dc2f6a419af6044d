"""Type checkers find a wrong call of the public API, and nothing wrong with a right one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.markdown import ROOT

CALLS = Path(__file__).with_name("calls.py")


def wrong() -> set[int]:
    lines = CALLS.read_text().splitlines()
    return {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}


def mypy() -> set[int]:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--no-incremental",
         "--config-file", "", str(CALLS)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.findall(r"calls\.py:(\d+): error", done.stdout)
    assert found, done.stdout + done.stderr
    return set(map(int, found))


def pyright() -> set[int]:
    done = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable,
         str(CALLS)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = json.loads(done.stdout)["generalDiagnostics"]
    return {one["range"]["start"]["line"] + 1 for one in found if one["severity"] == "error"}


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_a_type_checker_finds_every_wrong_call_and_no_other(
    checker: Callable[[], set[int]],
) -> None:
    assert len(wrong()) > 15
    assert checker() == wrong()
