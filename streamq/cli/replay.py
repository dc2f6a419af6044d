"""``streamq replay``: give a group once more what it has settled."""

from __future__ import annotations

from typing import Annotated

from streamq.cli.command import Argument, Family
from streamq.cli.connection import connect, run_or_refuse, the_group
from streamq.cli.options import JsonLines, Stream, TheGroup, Url, examples
from streamq.cli.output import complain, say, say_json
from streamq.limits import DEFAULT_STREAM


def register(app: Family) -> None:
    """Add the command."""
    app.command(
        "replay",
        epilog=examples(
            "streamq replay 1716998413541-0 --group audit",
            "streamq replay --group audit 1716998413541-0 1716998413542-3",
        ),
    )(replay)


def replay(
    ids: Annotated[list[str], Argument(metavar="ID", help="The jobs' IDs.")],
    group: TheGroup = None,
    json: JsonLines = False,
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """Give a group jobs once more that it has settled.

    No other group gets them. They must still be in the stream: see --retain of streamq stream
    set. Each becomes a new entry, with an ID of its own. To run all again from some place on:
    streamq group rewind. Exit code 1 if one of them cannot be replayed.
    """

    async def main() -> bool:
        from streamq.admin import Admin

        complete = True
        async with connect(url) as server:
            admin = Admin(server)
            name = await the_group(server, stream, group)
            for done in await admin.replay(stream, name, ids):
                complete = complete and done.new_id is not None
                if json:
                    say_json(done.to_dict())
                elif done.new_id is None:
                    complain(f"{done.id}: {done.error}")
                else:
                    say(f"Replayed {done.id} as {done.new_id}")
        return complete

    run_or_refuse(main)
