"""Entries are trimmed by age while workers are killed: none that is not settled goes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from streamq import lua
from streamq.wire.keys import stream_keys
from tests.faults.rig import Rig
from tests.lua.support import run

KEYS = stream_keys("jobs")
GROUPS = {"alpha": 3, "beta": 0}


@contextmanager
def trimming(rig: Rig) -> Iterator[None]:
    """Trim all the time: whatever is settled is too old at once."""
    run(rig.client, lua.configure(KEYS, {"retain": 0}))
    stop = threading.Event()
    failed: list[BaseException] = []

    def trim() -> None:
        try:
            with rig.server.client() as client:
                while not stop.is_set():
                    run(client, lua.trim(KEYS, 100))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=trim)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert not failed


def the_rest_is_trimmed(rig: Rig) -> None:
    more: Any = 1
    while more:
        _, more = run(rig.client, lua.trim(KEYS, 1000))
    assert rig.client.xlen("jobs") == 0
    run(rig.client, lua.configure(KEYS, {"retain": None}))


def test_workers_are_killed_while_entries_are_trimmed(rig: Rig) -> None:
    rig.config = replace(rig.config, groups=GROUPS)
    with trimming(rig):
        rig.produce(1000)
        for begun in (300, 900):
            worker = rig.worker(concurrency=4)
            rig.recorder.wait_begun(begun)
            worker.kill()
        rig.drain()
    the_rest_is_trimmed(rig)
    report = rig.check()
    assert report.handled + report.dead == 2000
