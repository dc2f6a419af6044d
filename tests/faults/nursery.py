"""Where worker processes come from: one process that has everything imported, and forks.

Starting Python and importing the library takes longer than most of the tests. Each child
is a process of its own all the same: it can be killed, stopped and starved like any.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from functools import cache
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Nursery:
    """Starts workers, and knows how they ended."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        self._born: list[int] = []
        self._codes: dict[int, int] = {}
        self._changed = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def start(self, config: str, log: Path) -> int:
        """Start a worker that logs to ``log``; return its process ID."""
        assert self._process.stdin is not None
        with self._changed:
            self._process.stdin.write(json.dumps([config, str(log)]).encode() + b"\n")
            self._process.stdin.flush()
            assert self._changed.wait_for(lambda: self._born, 30)
            return self._born.pop()

    def code(self, pid: int, seconds: float) -> int | None:
        """The exit code, or minus the signal; ``None`` if it still runs after ``seconds``."""
        with self._changed:
            self._changed.wait_for(lambda: pid in self._codes, seconds)
            return self._codes.get(pid)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            what, pid, code = json.loads(line)
            with self._changed:
                if what == "born":
                    self._born.append(pid)
                else:
                    self._codes[pid] = code
                self._changed.notify_all()


@cache
def nursery() -> Nursery:
    """The one of this process; it ends with it."""
    return Nursery()


def _say(*words: object) -> None:
    os.write(1, json.dumps(words).encode() + b"\n")


def _reap() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _say("died", pid, os.waitstatus_to_exitcode(status))


def _serve() -> str | None:
    """Fork for each line of standard input; in a child, return its configuration."""
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    buffered = b""
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
        if 0 in ready:
            chunk = os.read(0, 65536)
            if not chunk:
                return None
            buffered += chunk
        _reap()
        while b"\n" in buffered:
            line, _, buffered = buffered.partition(b"\n")
            config, log = json.loads(line)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(target, 1)
                os.dup2(target, 2)
                return str(config)
            _say("born", pid, 0)


if __name__ == "__main__":
    # Imported here, before the fork: whoever only asks for a nursery needs none of it.
    import_module("uvloop")
    from tests.faults import workload

    found = _serve()
    if found is not None:
        workload.main(found)
