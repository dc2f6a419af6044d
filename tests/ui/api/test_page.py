"""docs/http.md shows what the API answers."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from streamq import App, Job
from tests.cli.support import Program
from tests.markdown import ROOT, Block, Likeness, blocks, read, steps
from tests.servers import RedisServer
from tests.test_docs import compare

PAGE = read(ROOT / "docs/http.md")


@pytest.fixture
def url(server: RedisServer) -> Iterator[str]:
    """Where ``streamq serve`` listens."""
    program = Program(["serve", "--port", "0", "--url", server.unix_url])
    program.wait_for("(Ctrl-C stops it)")
    yield re.findall(r"http://\S+", program.printed)[0]
    program.kill()


async def work(url: str) -> None:
    """Do all there is to do, as the page says."""
    async with App(url) as app:

        @app.group("images").handler("*", retries=0)
        async def resize(job: Job, file: str = "b.png") -> dict[str, str]:
            if job.type == "broken":
                raise RuntimeError("no such file")
            return {"thumbnail": file.replace(".png", ".jpg")}

        await app.worker(burst=True).run()


@pytest.mark.anyio
@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
async def test_the_commands_of_the_page(url: str, server: RedisServer) -> None:
    likeness = Likeness()
    parts: dict[int, Block | str] = {block.line: block for block in blocks(PAGE, "console")}
    for mark in re.finditer(r"<!-- test: (\w+) -->", PAGE):
        parts[PAGE.count("\n", 0, mark.start())] = mark[1]
    for _, part in sorted(parts.items()):
        if isinstance(part, str):
            await work(server.unix_url)
            continue
        for step in steps(part):
            command = likeness.command(step.command).replace("http://127.0.0.1:8080", url)
            ran = subprocess.run(  # noqa: ASYNC221 - nothing else is to happen meanwhile
                ["bash", "-c", command], capture_output=True, text=True, check=True
            )
            compare("docs/http.md", step, ran.stdout, likeness)
