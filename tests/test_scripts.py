"""The scripts share one virtual environment, and two may set it up at once."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.markdown import ROOT

pytestmark = pytest.mark.slow

SETS_UP = """\
. scripts/_venv
install_dev() {
    echo installing
    read -r _ <"$root/gate"  # until the test opens it
}
use_venv dev
echo ready
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What the scripts need of a clone, and a gate that an installation waits at."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/_venv", tmp_path / "scripts")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    os.mkfifo(tmp_path / "gate")
    return tmp_path


def set_up(project: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["bash", "-c", SETS_UP, "scripts/it"], cwd=project, stdout=subprocess.PIPE, text=True
    )


def read_until(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    for printed in process.stdout:
        if printed.rstrip() == line:
            return
    raise AssertionError(f"it ended without {line!r}")


def test_the_second_waits_and_finds_all_installed(project: Path) -> None:
    with set_up(project) as first:
        read_until(first, "installing")
        with set_up(project) as second:
            read_until(second, "Waiting for another script that sets up .venv …")
            (project / "gate").write_text("open\n")
            assert first.communicate()[0] == "ready\n"
            assert second.communicate()[0] == "ready\n"
    assert (first.returncode, second.returncode) == (0, 0)


def test_what_breaks_off_leaves_no_lock(project: Path) -> None:
    with set_up(project) as first:
        read_until(first, "installing")
        first.kill()
    with set_up(project) as second:
        read_until(second, "installing")
        (project / "gate").write_text("open\n")
        assert second.communicate()[0] == "ready\n"
