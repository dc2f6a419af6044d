"""Another version of streamq beside this one, out of git."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

OLDEST = "db1f98243c6fa09a708c1b5215d9dbdd6d4a830b"
"""The oldest commit that works side by side with this one: the last before data had a version. It
moves only with what the changelog says to be incompatible."""

ROOT = Path(__file__).parents[2]

CONSUME = ("consume", "--app", "rolling:app", "--lease", "2", "--metrics-port", "0")

PATIENCE = 60.0
"""Seconds after which a program that does not end counts as hanging."""


def unpack(revision: str, to: Path) -> Path:
    """The package as it was at a commit, in a directory of its own."""
    git = ["git", "-C", str(ROOT)]
    try:
        subprocess.run(
            [*git, "cat-file", "-e", f"{revision}^{{commit}}"], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the commit before is not here: this is no clone with its history")
    archive = subprocess.run(
        [*git, "archive", revision, "streamq"], check=True, capture_output=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(to, filter="data")
    return to


class Version:
    """One version of streamq: its commands, in processes of their own.

    Args:
        home: the directory that has the package.
        url: the server.
        scratch: where its programs run.
    """

    def __init__(self, name: str, home: Path, url: str, scratch: Path) -> None:
        self.name = name
        self._scratch = scratch
        self._env = {
            **os.environ, "PYTHONPATH": f"{home}{os.pathsep}{scratch}", "STREAMQ_URL": url,
            "VERSION": name, "HOME_OF_VERSION": str(home),
        }  # fmt: skip

    def run(self, *args: str, stdin: str = "") -> str:
        """A command that must succeed; returns what it printed."""
        ran = subprocess.run(
            [sys.executable, "-m", "streamq", *args], input=stdin, env=self._env,
            cwd=self._scratch, capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        assert ran.returncode == 0, f"{self.name}: streamq {' '.join(args)}: {ran.stderr}"
        return ran.stdout

    def json(self, *args: str) -> Any:
        """What a command says with ``--json``, line by line."""
        return [json.loads(line) for line in self.run(*args, "--json").splitlines()]

    def worker(self, *args: str) -> Workers:
        """A worker."""
        return Workers(
            subprocess.Popen(
                [sys.executable, "-m", "streamq", *CONSUME, *args],
                env=self._env, cwd=self._scratch,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            )
        )  # fmt: skip


class Workers:
    """One worker process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def stop(self) -> None:
        """Stop it in good order."""
        self.process.send_signal(signal.SIGTERM)
        self.end((0, -signal.SIGTERM))  # the latter while it still starts

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self.end((-signal.SIGKILL,))

    def end(self, codes: Sequence[int] = (0,)) -> None:
        """Wait until it has ended."""
        _, said = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode in codes, said
