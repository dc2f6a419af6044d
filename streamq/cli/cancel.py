"""``streamq cancel``: take a job for later back before its time comes."""

from __future__ import annotations

from typing import Annotated

import typer

from streamq.cli.connection import connect, run
from streamq.cli.exits import CommandError
from streamq.cli.options import DEFAULT_STREAM, Stream, Url, examples
from streamq.cli.output import say
from streamq.text import printable


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("cancel", epilog=examples("streamq cancel s-5f0e9a3c41d7b268"))(cancel)


def cancel(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME", help="What produce --delay has printed."),
    ],
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """Take jobs for later back before their time comes.

    Exit code 1 if one of them is not waiting any more.
    """
    late: list[str] = []

    async def main() -> None:
        from streamq.producer import Producer

        async with connect(url) as server:
            producer = Producer(server)
            for name in names:
                if await producer.cancel(stream, name):
                    say(f"Cancelled {printable(name, 60)}")
                else:
                    late.append(name)

    run(main)
    if late:
        shown = ", ".join(printable(name, 60) for name in late)
        raise CommandError(f"not waiting any more, or never was on {printable(stream)}: {shown}")
