"""The examples do what they say, with real photographs."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis
from PIL import Image

from examples.thumbnails import app as thumbnails
from streamq import App
from tests.photographs import cut_off, photographs
from tests.servers import RedisServer

pytestmark = pytest.mark.anyio


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


async def test_a_broken_photograph_dies_is_repaired_redriven_and_succeeds(
    app: App, client: redis.Redis
) -> None:
    whole = photographs(Path("photos"))[0]
    broken = cut_off(whole, Path("photos/broken.png"))
    dead_letters = app.admin.dead_letters("jobs", "images")

    job_id = await app.produce("photo_added", file=str(broken))
    await app.worker(burst=True).run()
    [letter] = [letter async for letter in dead_letters.list()]
    assert (letter.job_id, letter.attempts) == (job_id, 4)
    assert (letter.reason, letter.error) == (
        "retries exhausted",
        "OSError: image file is truncated",
    )
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
