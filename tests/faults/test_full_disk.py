"""A disk without any room left, under the append-only file."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from streamq.errors import ServerError, ServerRefused
from tests.faults.rig import Rig
from tests.servers import RedisServer


@pytest.fixture
def make_small_rig(shared_server: RedisServer) -> Iterator[Callable[[str], Rig]]:
    """Make a rig whose server keeps its files on a disk of 2 MiB."""
    undo = ExitStack()

    def make(policy: str) -> Rig:
        options = ["--appendonly", "yes", "--appendfsync", policy]
        server = RedisServer(shared_server.binary, options)
        undo.callback(server.stop)
        disk = str(server.directory)
        mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk]
        if subprocess.run(mount, capture_output=True).returncode != 0:
            pytest.skip("mounting a small disk takes root")
        undo.callback(subprocess.run, ["umount", disk], check=True)
        undo.callback(server.kill)
        rig = Rig(server.start())
        undo.callback(rig.close)
        return rig

    with undo:
        yield make


def fill(rig: Rig) -> Path:
    """Leave no room on the disk."""
    ballast = rig.server.directory / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return ballast


def test_writes_are_refused_until_there_is_room(make_small_rig: Callable[[str], Rig]) -> None:
    rig = make_small_rig("everysec")
    rig.produce(300, do="sleep", seconds=0.002)
    worker = rig.worker(concurrency=2, burst=True)
    rig.recorder.wait_begun(50)
    ballast = fill(rig)
    rig.recorder.wait_event("server lost")
    with pytest.raises(ServerRefused, match="MISCONF"):
        rig.produce(1)
    ballast.unlink()
    worker.finish()

    assert rig.check().handled == 300


def test_the_server_gives_up_when_it_must_write_always(
    make_small_rig: Callable[[str], Rig],
) -> None:
    # Rather than acknowledge what is not on the disk, it ends. What it did acknowledge is there.
    rig = make_small_rig("always")
    rig.produce(300, do="sleep", seconds=0.002)
    worker = rig.worker(concurrency=2)
    rig.recorder.wait_begun(50)
    ballast = fill(rig)
    rig.recorder.wait_event("server lost")
    with pytest.raises(ServerError):
        rig.produce(1)
    ballast.unlink()
    rig.server.kill()
    rig.server.start()
    rig.recorder.wait(
        lambda r: len({d.job for d in r.outcomes["succeeded"]}) == 300, "all to succeed"
    )
    worker.terminate()

    assert rig.check().handled == 300
