"""A real server for the length of a test."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import quote

from streamq.errors import EmbeddedServerError
from streamq.server.embedded import binary
from streamq.server.embedded.probe import ask

STARTS_WITHIN = 10.0
"""Seconds that the server has for its start."""

POLL = 0.01
"""Seconds between two looks at a server that starts."""


@asynccontextmanager
async def server() -> AsyncIterator[str]:
    """The URL of an empty Valkey on a unix socket, which is gone afterwards::

        async with testing.server() as url, App(url) as app: ...

    It keeps its data in memory alone, and is no other program's: neither the embedded server
    nor ``STREAMQ_URL`` has anything to do with it.

    Raises:
        EmbeddedServerError: it cannot be started.
    """
    context = running()
    url = await asyncio.to_thread(context.__enter__)
    try:
        yield url
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)


@contextmanager
def running() -> Iterator[str]:
    """The same for code that is not async.

    Raises:
        EmbeddedServerError: it cannot be started.
    """
    program = binary.find()
    with tempfile.TemporaryDirectory(prefix="streamq-") as name:
        directory = Path(name)
        socket = directory / "s"
        process = subprocess.Popen(
            [program, "--port", "0", "--unixsocket", str(socket), "--dir", name, "--save", "",
             "--logfile", str(directory / "log")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            # A Ctrl-C is for the tests, which then end it.
            start_new_session=True,
        )  # fmt: skip
        try:
            _wait_for(process, socket, directory / "log")
            yield f"unix://{quote(str(socket))}"
        finally:
            process.kill()
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while ask(socket, "PING", timeout=STARTS_WITHIN) != "PONG":
        if process.poll() is not None or time.monotonic() > deadline:
            told = log.read_text(errors="replace").strip() if log.exists() else ""
            raise EmbeddedServerError(f"the server for the tests did not start: {told[-500:]}")
        time.sleep(POLL)
