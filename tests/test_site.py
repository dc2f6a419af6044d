"""The documentation site is built without a warning, and its recipes work."""

from __future__ import annotations

import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

import streamq.admin
import streamq.testing
from streamq import App
from tests.markdown import ROOT, blocks, read
from tests.servers import RedisServer
from tests.test_docs import PAGES, name_of
from tests.waiting import eventually

REFERENCE = read(ROOT / "docs/reference.md")


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html",
         "-d", str(tmp_path / "trees"), "docs", str(tmp_path / "html")],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "html/reference.html").read_text()
    assert "exponential from 1 s to 300 s" in page, "docstrings are in it"
    commands = (tmp_path / "html/commands.html").read_text()
    assert "streamq dlq redrive" in commands
    assert "--older-than TIME" in commands, "the help of each command is in it"


@pytest.mark.parametrize(
    "name",
    [
        f"{module.__name__}.{name}"
        for module in (streamq, streamq.admin, streamq.testing)
        for name in module.__all__
        if name != "StreamqError"  # with all errors
    ],
)
def test_everything_that_a_program_may_import_is_in_the_reference(name: str) -> None:
    assert f":: {name}\n" in REFERENCE


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    """To files that are there, and to headings that are in them."""
    for target in re.findall(r"\]\(([^)\s]+)\)", read(path)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, heading = target.partition("#")
        page = (path.parent / file).resolve() if file else path
        assert page.exists(), f"{target}: there is no {page}"
        if heading:
            assert heading in headings(page), f"{target}: there is no such heading"


def headings(page: Path) -> set[str]:
    """What a link to each heading of a page ends with."""
    prose = re.sub(r"^```.*?^```$", "", read(page), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.anyio
async def test_the_fastapi_recipe_serves_and_works(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import httpx

    monkeypatch.setenv("STREAMQ_URL", server.unix_url)
    recipe = types.ModuleType("recipe")
    # Pydantic looks a function's annotations up in its module.
    monkeypatch.setitem(sys.modules, "recipe", recipe)
    for block in blocks(read(ROOT / "docs/recipes/fastapi.md"), "python"):
        exec(compile(block.text, "fastapi.md", "exec", dont_inherit=True), recipe.__dict__)
    jobs: App = recipe.jobs
    transport = httpx.ASGITransport(recipe.web)
    async with (
        recipe.lifespan(recipe.web),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        answer = await client.post("/users", params={"address": "ann@example.org"})
        assert answer.status_code == 202
        assert answer.json()["job"]
        printed: list[str] = []

        def welcomed() -> bool:
            printed.append(capsys.readouterr().out)
            return "welcome, ann@example.org" in "".join(printed)

        await eventually(welcomed)
    await jobs.close()
