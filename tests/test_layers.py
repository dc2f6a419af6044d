"""Who may know what: imports that would blur the layers.

All imports count: those at the top of a module, those in a function, and those for annotations
alone. Each of them is a name that the module has to know, and each of them breaks when the other
module changes.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

import streamq

ROOT = Path(streamq.__file__).parent

LAYERS = (
    "limits", "errors", "text", "version", "main_guard", "retry", "tracebacks",
    "wire", "lua", "server", "partitions", "results",
    "codec", "encryption", "offload", "event", "option_checks", "priorities", "job", "new_job",
    "enqueued", "middleware", "running",
    "handlers", "verdict", "signals", "flow",
    "produce", "worker", "admin",
    "observe", "programs", "process",
    "group", "sync", "app_results", "app_producing", "app",
    "testing", "bench", "ui", "cli",
    "__init__", "__main__",
)  # fmt: skip
"""The modules and packages directly under ``streamq``: each may import those before it."""

WIRE = ("streamq.lua", "streamq.server.packing", "streamq.wire.keys")
"""Key names, scripts and bare commands: below the line that admin draws."""

LOOKING = sorted(path for part in ("cli", "observe", "ui") for path in (ROOT / part).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


class Import(NamedTuple):
    """One name that a module imports.

    Attributes:
        name: as ``module`` or ``module.name``.
        where: in the module: ``at its top``, ``in a function`` or ``for its types``.
    """

    name: str
    where: str

    @property
    def module(self) -> str | None:
        """The module of ours that it is or comes from, if it does."""
        if self.name in MODULES:
            return self.name
        home = self.name.rpartition(".")[0]
        return home if home in MODULES else None


def imports(path: Path) -> list[Import]:
    return list(dict.fromkeys(_imports(ast.parse(path.read_text()), "at its top")))


def _imports(parent: ast.AST, where: str) -> Iterator[Import]:
    for node in ast.iter_child_nodes(parent):
        match node:
            case ast.Import(names):
                yield from (Import(alias.name, where) for alias in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield from (Import(f"{module}.{alias.name}", where) for alias in names)
            case ast.ImportFrom():
                raise AssertionError(f"line {node.lineno}: write the whole name of the module")
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from _imports(node, "in a function")
            case ast.If(test=ast.Name("TYPE_CHECKING")):
                yield from _imports(node, "for its types")
            case _:
                yield from _imports(node, where)


IMPORTS = {name: imports(path) for name, path in MODULES.items()}


def layer(module: str) -> str:
    return module.removeprefix("streamq").lstrip(".").partition(".")[0] or "__init__"


def test_each_module_has_a_layer() -> None:
    without = {layer(module) for module in MODULES} ^ set(LAYERS)
    assert not without, f"in the package or in LAYERS, not in both: {sorted(without)}"


def test_imports_point_downwards() -> None:
    upwards = []
    for importer, found in IMPORTS.items():
        for imported in found:
            if imported.module is None:
                continue
            own, other = layer(importer), layer(imported.module)
            if own != other and LAYERS.index(own) < LAYERS.index(other):
                upwards.append(f"{importer} imports {imported.name} {imported.where}")
    assert not upwards, "\n".join(upwards)


def test_no_modules_import_each_other_in_a_circle() -> None:
    known = {
        importer: {imported.module for imported in found if imported.module}
        for importer, found in IMPORTS.items()
    }
    try:
        TopologicalSorter(known).prepare()
    except CycleError as error:
        circle = [
            f"{importer} imports {imported.name} {imported.where}"
            for imported_module, importer in pairwise(error.args[1])
            for imported in IMPORTS[importer]
            if imported.module == imported_module
        ]
        pytest.fail("a circle: " + "; ".join(circle))


@pytest.mark.parametrize("path", LOOKING, ids=lambda path: str(path.relative_to(ROOT)))
def test_whoever_looks_at_jobs_stands_on_admin_and_knows_no_key(path: Path) -> None:
    names = {imported.name for imported in imports(path)}
    known = {name for name in names if name.startswith(WIRE)} | names & {"streamq.server.Arg"}
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
            "admin", "content", "dead_letter", "dead_letters", "dead_letters_of_all", "existing",
            "jobs_admin", "paging", "partitions", "reading", "streams_admin",
        )
    ]  # fmt: skip


def test_an_app_imports_admin_only_when_it_is_asked_for() -> None:
    code = "import sys; from streamq import App; print('streamq.admin' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
