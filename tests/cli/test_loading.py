"""Finding the App."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamq import App
from streamq.cli.loading import find_app, load_app
from streamq.errors import ConfigError

WORKER = "from streamq import App\napp = App()\nother = App()\nnumber = 1\n"


@pytest.fixture(autouse=True)
def worker(scratch: Path) -> Iterator[None]:
    """A module ``jobs_of_test`` in the current directory, forgotten afterwards."""
    path, modules = list(sys.path), set(sys.modules)
    (scratch / "jobs_of_test.py").write_text(WORKER)
    (scratch / "shop_of_test").mkdir()
    (scratch / "shop_of_test" / "jobs.py").write_text(WORKER + "class Box:\n    app = App()\n")
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.mark.parametrize(
    "name",
    [
        "jobs_of_test:app",
        "jobs_of_test:other",
        "shop_of_test.jobs:app",
        "shop_of_test.jobs:Box.app",
    ],
)
def test_an_app_is_found_from_the_current_directory(name: str) -> None:
    assert isinstance(load_app(name), App)


def test_the_option_goes_before_the_environment_and_this_before_the_project(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_name = "jobs_of_test:other"
    assert find_app(None) is None

    (scratch / "pyproject.toml").write_text('[tool.streamq]\napp = "shop_of_test.jobs:app"\n')
    in_project = find_app(None)
    monkeypatch.setenv("STREAMQ_APP", "jobs_of_test:app")
    in_environment = find_app(None)
    by_option = find_app(import_name)

    assert in_project is load_app("shop_of_test.jobs:app")
    assert in_environment is load_app("jobs_of_test:app")
    assert by_option is load_app(import_name)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("jobs_of_test", "--app 'jobs_of_test': give MODULE:NAME, such as worker:app"),
        ("jobs_of_test.py", "give MODULE:NAME, .* for the App called app in worker.py"),
        ("no_such_module_of_test:app", "--app: no module named no_such_module_of_test in /"),
        ("shop_of_test.no_such:app", "--app: no module named shop_of_test.no_such in /"),
        ("jobs_of_test:nothing", "there is none; of jobs_of_test, its Apps: app, other"),
        ("jobs_of_test:number", "that is of type int; of jobs_of_test, its Apps: app, other"),
        ("\x1b[31m:app", r"--app '\\x1b\[31m:app'"),
    ],
)
def test_what_names_no_app(name: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        load_app(name)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import no_such_thing", r"ModuleNotFoundError: .*no_such_thing.* \(bad.py, line 1\)"),
        ("x = 1\nx.y", r"AttributeError: .* \(bad.py, line 2\)"),
        ("\ndef f(:", r"SyntaxError: .* \(bad.py, line 2\)"),
        ("import sys\nsys.exit(3)", r"SystemExit: 3 \(bad.py, line 2\)"),
        ("raise ValueError('a \\x1b[31m')", r"ValueError: a \\x1b\[31m \(bad.py, line 1\)"),
        ("from json import nothing", r"ImportError: .* \(bad.py, line 1\)"),
        (
            "from streamq import App\napp = App(stream='')",
            r"'' is not a valid stream name: .* \(bad.py, line 2\)",
        ),
    ],
)
def test_a_module_that_cannot_be_imported_is_told_with_the_place(
    scratch: Path, code: str, problem: str
) -> None:
    (scratch / "bad.py").write_text(code)

    with pytest.raises(ConfigError, match=f"--app: importing bad failed: {problem}"):
        load_app("bad:app")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[tool.streamq\n", "pyproject.toml cannot be read: "),
        ("[tool.streamq]\napp = 1\n", "app must be text such as 'worker:app'"),
        ('[tool.streamq]\napp = "x"\n', r"\[tool.streamq\] app in pyproject.toml 'x': give MODULE"),
    ],
)
def test_a_project_file_that_cannot_be_used(scratch: Path, text: str, problem: str) -> None:
    (scratch / "pyproject.toml").write_text(text)

    with pytest.raises(ConfigError, match=problem):
        find_app(None)


@pytest.mark.parametrize("text", ["", "[tool.other]\nstreamq = 1\n", "[tool.streamq]\nx = 1\n"])
def test_a_project_file_that_names_none(scratch: Path, text: str) -> None:
    (scratch / "pyproject.toml").write_text(text)

    assert find_app(None) is None
