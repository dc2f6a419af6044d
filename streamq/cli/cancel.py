"""``streamq cancel``: take a job for later back before its time comes."""

from __future__ import annotations

from typing import Annotated

from streamq.cli.command import Argument, Family
from streamq.cli.connection import connect, run_or_refuse
from streamq.cli.options import Stream, Url, examples
from streamq.cli.output import complain, say
from streamq.limits import DEFAULT_STREAM
from streamq.text import printable


def register(app: Family) -> None:
    """Add the command."""
    app.command("cancel", epilog=examples("streamq cancel s-5f0e9a3c41d7b268"))(cancel)


def cancel(
    names: Annotated[
        list[str],
        Argument(metavar="NAME", help="What produce --delay has printed."),
    ],
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """Take jobs for later back before their time comes.

    Exit code 1 if one of them is not waiting any more.
    """

    async def main() -> bool:
        from streamq.produce.producer import Producer

        complete = True
        async with connect(url) as server:
            producer = Producer(server)
            for name in names:
                if await producer.cancel(stream, name):
                    say(f"Cancelled {printable(name, 60)}")
                else:
                    complete = False
                    complain(
                        f"no job for later on the stream {printable(stream, 100)} is called "
                        f"{printable(name, 60)}: its time has come, it was cancelled, or it is "
                        "on another stream (--stream)"
                    )
        return complete

    run_or_refuse(main)
