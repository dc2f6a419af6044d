"""What comes out of Redis is data: never unpickled, evaluated, or read by a shell."""

from __future__ import annotations

import ast
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

import streamq
from streamq import App, Job
from tests.lua.support import command, write
from tests.worker.support import drain

PACKAGE = Path(streamq.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

MODULES = {"cloudpickle", "code", "dill", "jsonpickle", "marshal", "pickle", "shelve", "yaml"}
CALLS = {"__import__", "compile", "eval", "exec"}
ATTRIBUTES = {"create_subprocess_shell", "getoutput", "popen", "system"}

JUSTIFIED = {
    # Whether an error of a handler's can leave its process: made and read in that process.
    ("worker/executors.py", "pickle"),
}


def found_in(source: str) -> Iterator[str]:
    """What of it could turn data into code."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                yield from (a.name for a in node.names if a.name.partition(".")[0] in MODULES)
            case ast.ImportFrom() if (node.module or "").partition(".")[0] in MODULES:
                yield str(node.module)
            case ast.Call(func=ast.Name(id=name)) if name in CALLS:
                yield name
            case ast.Call(func=ast.Attribute(attr=name)) if name in ATTRIBUTES:
                yield name
            case ast.keyword(arg="shell", value=ast.Constant(value=True)):
                yield "shell=True"


def test_the_package_turns_no_data_into_code() -> None:
    assert len(SOURCES) > 50
    found = {
        (path.relative_to(PACKAGE).as_posix(), what)
        for path in SOURCES
        for what in found_in(path.read_text("utf-8"))
    }
    assert found == JUSTIFIED


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "import os, marshal as m", "from pickle import loads", "eval('1')",
        "def f():\n    import shelve", "os.system('ls')", "run('ls', shell=True)", "exec(x)",
        "import yaml.loader", "asyncio.create_subprocess_shell(x)",
    ],
)  # fmt: skip
def test_what_turns_data_into_code_is_found(source: str) -> None:
    assert list(found_in(source))


class Bomb:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.mark,)


def in_process(job: Job) -> None:
    """Is done elsewhere."""


@pytest.mark.anyio
async def test_pickles_in_the_server_are_not_unpickled(
    app: App, client: redis.Redis, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    bomb = pickle.dumps(Bomb(mark))
    pickle.loads(bomb)
    assert mark.exists()  # so much for the bomb itself
    mark.unlink()

    app.group("g").handler("t")(lambda job: job.data)
    app.group("g").handler("p", process=True)(in_process)
    for type in ("t", "p"):
        write(client, "type", type, "data", bomb)
        write(client, "type", type, "data", "{}", "key", bomb, "trace", bomb, "origin", bomb)
        write(client, "type", type, "payload", bomb)
    command(client, "ZADD", "{jobs}:scheduled", 0, "s-1")
    command(client, "HSET", "{jobs}:scheduled:jobs", "s-1", bomb)
    command(
        client, "XADD", "{jobs}:group:g:dlq", "*", "id", "1-1", "reason", bomb, "error", bomb,
        "attempts", "1", "consumer", bomb, "data", bomb,
    )  # fmt: skip
    await drain(app)
    done = str(write(client, "type", "t", "data", "{}", "for", "other"))
    command(
        client, "HSET", f"{{jobs}}:group:g:job:{done}", "state", "succeeded", "result", bomb,
        "data", bomb,
    )  # fmt: skip
    await drain(app)
    assert [letter async for letter in app.admin.dead_letters("jobs", "g").list()]
    await app.admin.status("jobs", done)
    assert not mark.exists()
