"""Who may know what: imports that would blur the layers."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import streamq

ROOT = Path(streamq.__file__).parent
WIRE = ("streamq.lua", "streamq.server.packing", "streamq.wire.keys")
"""Key names, scripts and bare commands: below the line that admin draws."""

LOOKING = sorted(path for part in ("cli", "observe") for path in (ROOT / part).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The names that a module imports, at its top or anywhere else, as ``module.name`` too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


@pytest.mark.parametrize("path", LOOKING, ids=lambda path: str(path.relative_to(ROOT)))
def test_whoever_looks_at_jobs_stands_on_admin_and_knows_no_key(path: Path) -> None:
    known = {name for name in imported(path) if name.startswith(WIRE)}
    known |= imported(path) & {"streamq.server.Arg"}
    assert not known, f"{path} imports {known}: ask streamq.admin instead"


def test_admin_is_quick_to_import() -> None:
    code = (
        "import sys; from streamq.admin import Admin; "
        "heavy = {'anyio', 'prometheus_client', 'pydantic', 'redis', 'rich', 'typer', 'uvloop'}; "
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_all_that_admin_offers_is_there() -> None:
    import streamq.admin

    assert {name: getattr(streamq.admin, name) for name in streamq.admin.__all__}
    with pytest.raises(AttributeError, match="no attribute 'Inspector'"):
        streamq.admin.Inspector  # noqa: B018  # the look itself is what is tried


def test_a_question_imports_only_what_answers_it() -> None:
    code = (
        "import sys; from streamq.admin import Admin; from streamq.server import Server; "
        "Admin(Server('redis://localhost')).dead_letters('jobs', 'images'); "
        "print(*sorted(name for name in sys.modules if name.startswith('streamq.admin.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        f"streamq.admin.{name}"
        for name in (
            "admin", "content", "dead_letter", "dead_letters", "existing", "reading",
        )
    ]  # fmt: skip


def test_an_app_imports_admin_only_when_it_is_asked_for() -> None:
    code = "import sys; from streamq import App; print('streamq.admin' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
