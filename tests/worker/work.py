"""Handlers for processes: these must be importable."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from streamq import Dead, Job, Retry
from streamq.errors import StreamqError


class Odd(Exception):
    """An exception that cannot be pickled back together."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


class OddDead(Dead):
    """A subclass of streamq's own with arguments of its own."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


class Unpicklable(Exception):
    """An exception that carries what cannot leave its process."""

    def __init__(self) -> None:
        super().__init__("unpicklable")
        self.what = lambda: None


def square(n: int) -> dict[str, int]:
    return {"square": n * n, "pid": os.getpid()}


def emits(job: Job, n: int) -> None:
    job.emit("next", {"n": n})
    job.emit("next", {"n": n + 1}, stream=None)


def tells(job: Job, until: str) -> None:
    job.progress(0.1)
    job.progress(0.25, "resizing")
    Path(until).read_text()  # of a FIFO: it waits for whoever writes


def emits_and_fails(job: Job) -> None:
    job.emit("next", {"n": 1})
    raise ValueError("after emitting")


def emits_for_each(jobs: list[Job]) -> int:
    for job in jobs:
        job.emit("next", {"n": job.data["n"]})
    return len(jobs)


def fails(how: str) -> None:
    errors: dict[str, Exception] = {
        "retry": Retry("later", delay=0.0),
        "dead": Dead("never"),
        "odd": Odd("one", "two"),
        "odd dead": OddDead("one", "two"),
        "unpicklable": Unpicklable(),
        "streamq": StreamqError("some"),
        "value": ValueError("bad value"),
        "stop": StopIteration(7),
    }
    raise errors[how]


def exits(code: Any) -> None:
    sys.exit(code)


def dies() -> None:
    os._exit(9)


def leaves_a_mark(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    signal.pause()


def is_running(mark: Path) -> bool:
    """Whether the process that left its mark there is still running."""
    return mark.exists() and Path(f"/proc/{mark.read_text()}/exe").exists()


def returns_unpicklable() -> Any:
    return lambda: None
