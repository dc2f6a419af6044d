"""The server that a command works with, and the event loop that it works in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from streamq.cli.command import Exit
from streamq.cli.exits import CommandError, ExitCode
from streamq.cli.output import note
from streamq.errors import GroupNotFound
from streamq.text import printable

if TYPE_CHECKING:
    from streamq.server import Server

T = TypeVar("T")


def run(main: Callable[[], Coroutine[Any, Any, T]], *, fast: bool = False) -> T:
    """Run a command's async part to its end and return what it returned.

    Args:
        fast: whether it runs long enough for an event loop that takes long to import.
    """
    from streamq.process.eventloop import run_async

    return run_async(main, fast=fast)


def run_or_refuse(main: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    """Run a command's async part; unless it returns true, the exit code is 1.

    It has said already what it could not do.
    """
    if not run(main):
        raise Exit(ExitCode.REFUSED)


def start_embedded(url: str | None) -> None:
    """Start the embedded server if it is the one to be used, and tell when that takes long.

    Raises:
        EmbeddedServerError: it cannot be started.
    """
    from streamq.server.address import default_url

    if url is None and default_url() is None:
        from streamq.server import embedded

        embedded.ensure_running(notify=note)


@asynccontextmanager
async def connect(url: str | None) -> AsyncIterator[Server]:
    """The server that ``--url``, ``STREAMQ_URL`` or neither names, closed at the end.

    Raises:
        ConfigError: the URL cannot be used.
        EmbeddedServerError: the embedded server cannot be started.
        ServerUnsupported: the server is too old.
    """
    from streamq.server import Server

    start_embedded(url)
    server = Server(url)
    try:
        await server.info()
        yield server
    finally:
        await server.close()


async def the_group(server: Server, stream: str, given: str | None) -> str:
    """The group that is meant: the one given, or else the stream's only one.

    Raises:
        CommandError: there are several.
        GroupNotFound: there is none.
        StreamNotFound: there is no such stream.
    """
    from streamq.admin import Admin

    if given is not None:
        return given
    names = await Admin(server).group_names(stream)
    if not names:
        raise GroupNotFound(f"the stream {printable(stream, 100)} has no groups")
    if len(names) > 1:
        some = ", ".join(printable(name, 100) for name in sorted(names)[:10])
        raise CommandError(f"say which group is meant with --group: {some}", ExitCode.USAGE)
    return names[0]
