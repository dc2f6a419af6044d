"""A full disk, at the start and later."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from streamq.errors import EmbeddedServerError
from streamq.server import embedded
from streamq.server.embedded import failure
from tests.embedded.support import (
    call,
    end_server,
    set_durably,
    wait_until,
)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_disk_too_full_to_start(home: Path) -> None:
    home.mkdir(0o700)
    (home / failure.LOCK).symlink_to("/dev/full")

    with pytest.raises(EmbeddedServerError, match=r"write to .*/q: the disk is full; free some"):
        embedded.ensure_running()


@pytest.fixture
def small_disk(home: Path) -> Iterator[Path]:
    """The server's directory on a file system of one megabyte."""
    home.mkdir(0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "streamq-test", str(home)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield home
    end_server(home)
    subprocess.run(["umount", str(home)], check=True)


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return filler


def test_a_disk_that_is_full_at_the_start(small_disk: Path) -> None:
    filler = fill(small_disk)

    with pytest.raises(EmbeddedServerError, match="the disk is full; free some space"):
        embedded.ensure_running()
    filler.unlink()
    assert call(embedded.ensure_running(), "PING") == "PONG"


def test_a_disk_that_fills_up_while_the_server_runs(small_disk: Path) -> None:
    url = embedded.ensure_running()
    set_durably(url, "k", "v")
    filler = fill(small_disk)
    with redis.Redis.from_url(url) as client, contextlib.suppress(redis.ResponseError):
        while True:
            client.append("big", "x" * 10_000)

    assert embedded.status().aof_last_write_status == "err"
    with pytest.raises(EmbeddedServerError, match=r"No space left on device; free some space"):
        embedded.ensure_running()
    with pytest.raises(EmbeddedServerError, match=r"would lose its latest writes"):
        embedded.stop()

    filler.unlink()
    wait_until(lambda: embedded.status().aof_last_write_status == "ok")
    size = call(embedded.ensure_running(), "STRLEN", "big")
    assert embedded.stop() is True
    url = embedded.ensure_running()
    assert call(url, "GET", "k") == "v"
    assert call(url, "STRLEN", "big") == size > 0
