"""The examples do what they say, with real photographs."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis
from PIL import Image

from examples.thumbnails import app as thumbnails
from streamq import App
from tests.markdown import ROOT
from tests.photographs import cut_off, photographs
from tests.servers import RedisServer


@pytest.fixture
async def app(
    server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[App]:
    """The thumbnails app on the server under test, in a directory of its own."""
    monkeypatch.setenv("STREAMQ_URL", server.unix_url)
    monkeypatch.chdir(tmp_path)
    async with thumbnails:
        yield thumbnails


def thumbnails_made() -> set[Path]:
    return set(Path("photos/thumbnails").iterdir())


def audit_log() -> set[tuple[str, ...]]:
    return {tuple(line.split(" ")) for line in Path("audit.log").read_text().splitlines()}


def audited(type: str, file: Path) -> tuple[str, ...]:
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return type, str(file), str(len(content)), digest


@pytest.mark.anyio
async def test_each_photograph_becomes_a_thumbnail_and_both_are_audited(
    app: App, client: redis.Redis
) -> None:
    photos = photographs(Path("photos"))
    await app.produce_many([("photo_added", {"file": str(file)}) for file in photos])

    await app.worker(burst=True).run()

    made = [Path("photos/thumbnails", f"{file.stem}.jpg") for file in photos]
    assert thumbnails_made() == set(made)
    for file in made:
        with Image.open(file) as thumbnail:
            assert (thumbnail.format, max(thumbnail.size)) == ("JPEG", 256)
    assert audit_log() == {
        *(audited("photo_added", file) for file in photos),
        *(audited("thumbnail_ready", file) for file in made),
    }
    assert client.xlen("jobs") == 0


@pytest.mark.anyio
async def test_a_broken_photograph_dies_is_repaired_redriven_and_succeeds(
    app: App, client: redis.Redis
) -> None:
    whole = photographs(Path("photos"))[0]
    broken = cut_off(whole, Path("photos/broken.png"))
    dead_letters = app.admin.dead_letters("jobs", "images")

    job_id = (await app.produce("photo_added", {"file": str(broken)})).id
    await app.worker(burst=True).run()
    [letter] = [letter async for letter in dead_letters.list()]
    assert (letter.job_id, letter.attempts) == (job_id, 4)
    assert (letter.reason, letter.error) == ("retries exhausted", "image file is truncated")
    assert not thumbnails_made()
    assert audit_log() == {audited("photo_added", broken)}, "the other group has gone on"

    before = audited("photo_added", broken)
    shutil.copyfile(whole, broken)
    [redriven] = await dead_letters.redrive([job_id])
    assert redriven.new_id is not None
    await app.worker(burst=True).run()
    assert await dead_letters.count() == 0
    [status] = (await app.admin.status("jobs", redriven.new_id, "images")).groups
    assert (status.state, status.attempts) == ("succeeded", 1)
    assert audit_log() == {
        before,  # and not again: the redriven job was for `images` alone
        audited("thumbnail_ready", Path("photos/thumbnails/broken.jpg")),
    }
    assert client.xlen("jobs") == 0


# -- one a feature ------------------------------------------------------------

EXAMPLES = sorted(
    path.relative_to(ROOT)
    for path in [*(ROOT / "examples").glob("*.py"), ROOT / "examples/shop/__main__.py"]
    if path.name not in ("__init__.py", "thumbnails.py")
)


@pytest.mark.parametrize("path", EXAMPLES, ids=str)
def test_an_example_prints_what_its_last_lines_show(path: Path, server: RedisServer) -> None:
    module = ".".join(path.with_suffix("").parts).removesuffix(".__main__")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", module],
        cwd=ROOT, env={**os.environ, "STREAMQ_URL": server.unix_url},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = (ROOT / path).read_text().rstrip().splitlines()
    shown = [line.removeprefix("# ") for line in itertools.takewhile(is_shown, reversed(lines))]
    assert shown
    assert done.stdout.splitlines() == shown[::-1]


def is_shown(line: str) -> bool:
    return line.startswith("# ")


def test_every_example_is_in_the_list() -> None:
    page = (ROOT / "examples/README.md").read_text()
    listed = set(re.findall(r"\]\(([a-z_]+\.py|shop)\)", page))
    files = {path.name for path in (ROOT / "examples").glob("*.py")} - {"__init__.py"}
    assert listed == files | {"shop"}
