"""What the documentation shows is run: its Python, and the commands of the README."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
import termios
import types
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
import redis

from examples.thumbnails import app as thumbnails
from streamq import App, Job
from streamq.observe.prometheus import Metrics
from tests.markdown import ROOT, Block, Likeness, Step, blocks, read, steps
from tests.photographs import cut_off, photographs
from tests.servers import RedisServer

PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts),
    ROOT / "examples/README.md",
]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


async def run(module: types.ModuleType, block: Block, path: Path) -> None:
    """Run a block as a module's code; it may use ``await``, as in an interactive Python."""
    # The line numbers in a traceback are those of the page.
    source = "\n" * (block.line - 1) + block.text
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(source, path, "exec", flags, dont_inherit=True)
    running = eval(code, module.__dict__)
    if inspect.isawaitable(running):
        await running


def app_of_the_reader() -> App:
    """What a page calls ``app`` without making one."""
    app = App()

    @app.handler("*")
    async def process(job: Job) -> None: ...

    return app


@pytest.mark.anyio
@pytest.mark.parametrize("path", [p for p in PAGES if blocks(read(p), "python")], ids=name_of)
async def test_the_python_of_the_documentation_runs(
    path: Path, server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMQ_URL", server.unix_url)
    monkeypatch.chdir(tmp_path)
    if path.stem in ("django", "fastapi"):
        pytest.importorskip(path.stem)
    # A reader's worker runs until Ctrl-C, and has the port to itself.
    monkeypatch.setattr(App, "worker", partialmethod(App.worker, burst=True))
    monkeypatch.setattr(Metrics, "serve", partialmethod(Metrics.serve, next_free=True))
    module = types.ModuleType("documented")
    module.__dict__["app"] = app_of_the_reader()
    for block in blocks(read(path), "python"):
        await run(module, block, path)
        for value in list(vars(module).values()):
            if isinstance(value, App):
                await value.close()  # it can be used again


def test_the_commands_of_the_readme_print_what_it_shows(tmp_path: Path) -> None:
    cut_off(photographs(tmp_path / "photos")[-1], tmp_path / "photos/broken.png")
    follow(ROOT / "README.md", tmp_path)


@pytest.mark.parametrize("page", ["first-hour.md", "bad-night.md"])
def test_the_commands_for_operators_print_what_the_page_shows(page: str, tmp_path: Path) -> None:
    follow(ROOT / "docs" / page, tmp_path)


def follow(page: Path, directory: Path) -> None:
    """Run the commands of a page one by one, and compare what they print with what it shows."""
    terminal = Terminal(directory)
    likeness = Likeness()
    try:
        for block in blocks(read(page), "console"):
            for step in steps(block):
                printed = terminal.run(likeness.command(step.command))
                compare(page.name, step, printed, likeness)
    finally:
        terminal.run("streamq server stop")


class Terminal:
    """Runs commands as in a terminal 100 columns wide, with an embedded server of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        mine = {name: value for name, value in os.environ.items() if "STREAMQ" not in name}
        self.environment = mine | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "STREAMQ_HOME": str(directory / "home"),
            "TERM": "dumb",
        }

    def run(self, command: str) -> str:
        """Run a command, and return what a person would see."""
        ours, theirs = os.openpty()
        termios.tcsetwinsize(theirs, (40, 100))
        with subprocess.Popen(
            ["bash", "-c", command], cwd=self.directory, env=self.environment,
            stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
        ) as process:  # fmt: skip
            os.close(theirs)
            seen = b""
            try:
                while chunk := os.read(ours, 65536):
                    seen += chunk
            except OSError:
                pass  # how Linux tells the end of a terminal
            finally:
                os.close(ours)
            process.wait()
        return seen.decode().replace("\r\n", "\n")


def compare(page: str, step: Step, printed: str, likeness: Likeness) -> None:
    """Check a step's output line by line; a line ``…`` stands for any number of lines."""
    lines = [line for line in printed.splitlines() if line.strip()]
    skipping = False
    for documented in filter(str.strip, step.output):
        if documented.strip() == "…":
            skipping = True
            continue
        while lines and skipping and not likeness.accepts(documented, lines[0]):
            lines.pop(0)
        skipping = False
        if not lines or not likeness.accepts(documented, lines[0]):
            pytest.fail(
                f"{page}, line {step.line}: `{step.command}` should print\n  {documented}\n"
                f"and printed\n{printed}"
            )
        lines.pop(0)
    assert skipping or not lines, (
        f"{page}, line {step.line}: `{step.command}` printed more:\n" + "\n".join(lines)
    )


@pytest.mark.anyio
async def test_redis_cli_answers_as_its_page_shows(
    server: RedisServer, client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMQ_URL", server.unix_url)
    monkeypatch.chdir(tmp_path)
    cut_off(photographs(Path("photos"))[-1], Path("photos/broken.png"))
    # ms vary; whatever else is counted on the page is less than ten.
    likeness = Likeness(also={r"\b\d{2,}\b": r"\d+"})
    page = read(ROOT / "docs/redis-cli.md")
    parts: dict[int, Block | str] = {block.line: block for block in blocks(page, "")}
    for mark in re.finditer(r"<!-- test: (\w+) -->", page):
        parts[page.count("\n", 0, mark.start())] = mark[1]
    connection: Any = client.connection_pool.get_connection()  # which redis-py leaves untyped
    async with thumbnails:
        for _, part in sorted(parts.items()):
            if part == "deliver":
                await thumbnails.worker(groups=["images"], max_jobs=2).run()
            elif part == "exhaust":
                await thumbnails.worker(groups=["images"], burst=True).run()
            elif isinstance(part, Block):
                for step in steps(part, "> "):
                    connection.send_command(*shlex.split(likeness.command(step.command)))
                    compare("redis-cli.md", step, as_shown(connection.read_response()), likeness)


def as_shown(reply: object, indent: str = "") -> str:
    """A reply as redis-cli shows it."""
    match reply:
        case None:
            return "(nil)"
        case int():
            return f"(integer) {reply}"
        case "OK":
            return "OK"
        case list():
            width = len(str(len(reply)))
            heads = [f"{number:>{width}}) " for number in range(1, len(reply) + 1)]
            items = [as_shown(item, indent + " " * (width + 2)) for item in reply]
            return f"\n{indent}".join(map("".join, zip(heads, items, strict=True)))
        case _:
            return json.dumps(reply)


@pytest.mark.parametrize(
    "command",
    re.findall(r"^\| `streamq ([a-z -]+)` \|", read(ROOT / "docs/cli.md"), re.M),
)
def test_the_map_of_commands_is_true(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "streamq", *command.split(), "--help"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Usage: streamq {command} ")


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", read(path)):
        file, _, section = target.partition("#")
        page = path.parent / file if file else path
        assert page.exists(), f"{path.name}: {target}"
        if section:
            titles = re.findall(r"^#+ (.+)$", read(page), re.MULTILINE)
            anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
            assert section in anchors, f"{path.name}: {target}"
