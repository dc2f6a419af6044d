"""The help of every command."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamq.cli.command import Context, Family
from streamq.cli.commands import COMMANDS, app
from streamq.cli.exits import ExitCode
from tests.cli.support import run_here
from tests.markdown import ROOT, blocks, read
from tests.test_docs import PAGES, name_of


def commands(command: Any, *path: str) -> Iterator[tuple[str, ...]]:
    """The words of every command, families included."""
    yield path
    if isinstance(command, Family):
        context = Context(command)
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), *path, name)


ALL = list(commands(app))


def shown(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> str:
    code, out, err = run_here([*path, "--help"], capsys)
    assert (code, err) == (0, "")
    return out


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_it_reads_well(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(path, capsys)

    assert max(map(len, out.splitlines())) <= 80
    usage, body = out.split("\n", 1)
    for odd in ("``", "<", "x>=", "]  ["):
        assert odd not in body
    assert usage.startswith(f"Usage: {' '.join(('streamq', *path))} [OPTIONS]")
    assert "..\n" not in body  # nothing in a list of commands is cut


@pytest.mark.parametrize("path", ALL[1:], ids=" ".join)
def test_it_ends_with_an_example(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    _, _, examples = shown(path, capsys).partition("\n  Examples:\n")

    assert f"streamq {' '.join(path)}" in examples


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_it_fits_a_narrow_terminal(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    explained = re.split(r"\n  (?:Examples|Exit codes):\n", shown(path, capsys))[0]

    assert max(map(len, explained.splitlines())) <= 50


def test_arguments_are_called_by_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    for path, usage in (
        (("status",), "streamq status [OPTIONS] ID"),
        (("cancel",), "streamq cancel [OPTIONS] [ID...]"),
        (("scheduled", "cancel"), "streamq scheduled cancel [OPTIONS] [NAME...]"),
        (("scheduled", "show"), "streamq scheduled show [OPTIONS] NAME"),
        (("produce",), "streamq produce [OPTIONS] [KEY=VALUE...]"),
        (("dlq", "purge"), "streamq dlq purge [OPTIONS] [ID...]"),
        (("pending",), "streamq pending [OPTIONS] [COMMAND [ARGS]...]"),
    ):
        assert shown(path, capsys).startswith(f"Usage: {usage}\n")
    help = shown(("pending", "retry"), capsys)
    assert help.count("  [ID...]  The jobs' IDs.\n") == 1
    assert "\nArguments:\n  [ID...]  The jobs' IDs.\n" in help


def test_the_documentation_knows_every_command() -> None:
    page = read(ROOT / "docs/cli.md")
    named = set(re.findall(r"^\| `streamq ([^`]+)` \|", page, re.MULTILINE))
    families = {path[0] for path in ALL if len(path) == 2} - {"pending"}

    assert named == {" ".join(path) for path in ALL if path} - families


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=name_of
)
def test_the_documentation_names_no_other_command(page: Path) -> None:
    """``streamq`` and the lower-case words after it, in the text and in blocks to copy."""
    text = read(page)
    code = re.findall(r"`(streamq [^`\n]+)`", text)
    for block in (*blocks(text, "sh"), *blocks(text, "console")):
        code += re.findall(r"^(?:\$ )?(streamq .+)$", block.text, re.MULTILINE)
    families = {path[0] for path in ALL if len(path) == 2}
    for line in code:
        path = tuple(re.match(r"streamq((?: [a-z][a-z-]+(?![\w=:.]))*)", line)[1].split())  # type: ignore[index]  # each begins so
        assert path[:1] in ALL, line
        assert len(path) < 2 or path[0] not in families or path[:2] in ALL, line


def test_the_documentation_knows_every_exit_code() -> None:
    page = read(ROOT / "docs/cli.md").partition("| exit code | meaning |")[2]

    assert [int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)] == list(ExitCode)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_of_a_command_what_its_own_help_says(name: str) -> None:
    command = app.get_command(Context(app), name)
    assert command is not None
    assert command.get_short_help_str(200) == COMMANDS[name][1]
