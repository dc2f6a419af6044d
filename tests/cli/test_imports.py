"""What a command imports: most of the time that a short one takes is this."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial

import anyio
import pytest
import redis

from tests.servers import RedisServer
from tests.situations import add, fail, read

HEAVY = {
    "anyio", "prometheus_client", "pydantic", "pydantic_core", "redis", "rich", "starlette",
    "typer", "uvicorn", "uvloop",
}  # fmt: skip

TELL = """
import atexit, sys
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
from streamq.cli import main
main()
"""


def imported_by(*args: str) -> set[str]:
    """The modules that a command has imported at its end; it must have shown something."""
    ran = subprocess.run([sys.executable, "-c", TELL, *args], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout
    *_, modules = ran.stderr.splitlines()
    found = set(modules.split())
    assert "streamq.cli.commands" in found
    return found


@pytest.fixture
def job_id(server: RedisServer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> str:
    """A job that is running, beside one that waits for a retry and a dead one."""
    monkeypatch.setenv("STREAMQ_URL", server.unix_url)
    for retries in (0, 3):
        add(client, {"type": "resize", "data": json.dumps({"retries": retries})})
        anyio.run(partial(fail, server.unix_url, retries=retries))
    job_id = add(client, {"type": "resize", "data": "{}"})
    assert read(client, "web-1") == [job_id]
    return job_id


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["plain", "json"])
@pytest.mark.parametrize("command", ["produce a=1", "pending", "status ID", "info", "dlq list"])
def test_a_short_command_imports_nothing_heavy(
    job_id: str, command: str, options: list[str]
) -> None:
    words = command.replace("ID", job_id).split()
    assert not imported_by(*words, *options) & HEAVY


def test_help_needs_neither_asyncio_nor_orjson() -> None:
    modules = imported_by("--help")

    assert not modules & (HEAVY | {"asyncio", "orjson"})
