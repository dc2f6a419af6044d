"""A deploy that is rolled out and taken back while jobs come in: nothing is lost, either way."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.servers import RedisServer
from tests.upgrades.versions import OLDEST, ROOT, Version, Workers, unpack
from tests.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PROGRAM = '''
"""Notes what it does in a file, one line a delivery."""

import json
import os
from pathlib import Path

import streamq
from streamq import App, Job, Retry

assert streamq.__file__.startswith(os.environ["HOME_OF_VERSION"]), streamq.__file__
app = App()
images = app.group("images", retries=2)
ordered = app.group("ordered", order=True, key_from="key", ignore=["thumbnail"])
notes = os.open("notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def note(job: Job, n: int) -> None:
    line = {"group": job.group, "n": n, "attempt": job.attempt, "by": os.environ["VERSION"]}
    os.write(notes, json.dumps(line).encode() + b"\\n")


@images.handler("photo")
async def photo(job: Job, n: int, key: str) -> int:
    note(job, n)
    if n % 10 == 1:
        raise ValueError(f"photo {n} is broken")
    if n % 10 == 2 and job.attempt == 1:
        raise Retry(delay=0.3)
    if n % 10 == 3:
        job.emit("thumbnail", {"n": n})
    return n


@images.handler("thumbnail")
async def thumbnail(job: Job, n: int) -> None:
    note(job, 1_000_000 + n)


@ordered.handler("photo")
async def keep(job: Job, n: int) -> None:
    note(job, n)
'''

KEYS = 5


@pytest.fixture
def old(server: RedisServer, tmp_path: Path) -> Version:
    home = unpack(OLDEST, tmp_path / "old")
    return Version("old", home, server.unix_url, _scratch(tmp_path))


@pytest.fixture
def new(server: RedisServer, tmp_path: Path) -> Version:
    return Version("new", ROOT, server.unix_url, _scratch(tmp_path))


def _scratch(tmp_path: Path) -> Path:
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    (scratch / "rolling.py").write_text(PROGRAM)
    return scratch


@pytest.fixture
def started() -> Iterator[list[Workers]]:
    """The workers that a test has started; none outlives it."""
    workers: list[Workers] = []
    yield workers
    for worker in workers:
        worker.process.kill()
        worker.process.wait()
        if worker.process.stderr is not None:
            worker.process.stderr.close()


def notes(tmp_path: Path) -> list[dict[str, Any]]:
    path = tmp_path / "scratch" / "notes"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def produce(version: Version, numbers: range) -> list[str]:
    jobs = [json.dumps({"type": "photo", "data": {"n": n, "key": f"k{n % KEYS}"}}) for n in numbers]
    return version.run("produce", "--quiet", "-", stdin="\n".join(jobs)).splitlines()


async def test_a_deploy_rolled_out_taken_back_and_crashing(
    old: Version, new: Version, client: redis.Redis, tmp_path: Path, started: list[Workers]
) -> None:
    def start(version: Version) -> Workers:
        started.append(version.worker())
        return started[-1]

    async def until(count: int) -> None:
        await eventually(lambda: len(notes(tmp_path)) >= count)

    first, second = start(old), start(old)
    ids = produce(old, range(100))
    await until(50)
    third = start(new)  # rolled out, one by one
    first.stop()
    ids += produce(new, range(100, 200))
    fourth = start(new)
    second.stop()
    ids += produce(old, range(200, 300))
    await until(350)
    fifth = start(old)  # and taken back, while one of the new ones crashes
    third.kill()
    ids += produce(new, range(300, 400))
    await until(500)
    fourth.stop()
    sixth = start(new)
    await eventually(lambda: _all_settled(client))
    for worker in (fifth, sixth):
        worker.stop()

    succeeded = Counter((one["group"], one["n"]) for one in notes(tmp_path) if not _broken(one))
    expected = {("ordered", n) for n in range(400)}
    expected |= {("images", n) for n in range(400) if n % 10 != 1}
    thumbnails = {n for n in range(400) if n % 10 == 3}
    expected |= {("images", 1_000_000 + n) for n in thumbnails}
    assert expected <= set(succeeded)
    assert {one["by"] for one in notes(tmp_path)} == {"old", "new"}
    assert _in_order(notes(tmp_path))
    assert client.xlen("jobs") == 0
    for version in (old, new):  # whoever wrote the letter or the record
        assert len(version.json("dlq", "list", "--group", "images")) == 40
        for id in (ids[0], ids[5], ids[399]):
            [status] = version.json("status", id, "--group", "images")
            assert [group["state"] for group in status["groups"]] == ["succeeded"]


def _broken(one: dict[str, Any]) -> bool:
    again = one["n"] % 10 == 2 and one["attempt"] == 1
    return bool(one["group"] == "images" and (one["n"] % 10 == 1 or again))


def _all_settled(client: redis.Redis) -> Any:
    return client.xlen("jobs") == 0


def _in_order(lines: list[dict[str, Any]]) -> bool:
    """Of each key, in order; a job that was running at a crash may begin again."""
    last: dict[int, int] = {}
    for one in lines:
        if one["group"] == "ordered":
            key = one["n"] % KEYS
            if one["n"] < last.get(key, -1):
                return False
            last[key] = one["n"]
    return True
