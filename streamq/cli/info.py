"""``streamq info``: the server, its streams, and what keeps each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamq.cli.command import Family
from streamq.cli.connection import connect, run
from streamq.cli.groups import lease_assumed, say_groups, who_pins
from streamq.cli.options import Json, Lease, Url, examples
from streamq.cli.output import duration, say, say_json
from streamq.cli.streams import abandoned_line
from streamq.limits import LEASE
from streamq.text import printable, size

if TYPE_CHECKING:
    from streamq.admin import Overview, StreamInfo


def register(app: Family) -> None:
    """Add the command."""
    app.command(
        "info",
        short_help="Show the server, its streams and their groups.",
        epilog=examples(
            "streamq info",
            "streamq info --json | jq '.streams[] | {name, length, pinned_by}'",
        ),
    )(info)


def info(json: Json = False, lease: Lease = LEASE, url: Url = None) -> None:
    """Show the server, all streams and their groups, and which group keeps each stream.

    An entry is deleted when every group has settled it. The oldest one tells which group
    is behind, or has no worker.
    """

    async def main() -> None:
        from streamq.admin import Admin

        async with connect(url) as server:
            about = await Admin(server, lease=lease).info()
        if json:
            say_json(about.to_dict())
        else:
            _show(about, lease)

    run(main)


def _show(about: Overview, lease: float) -> None:
    server = about.server
    limit = f" of {size(server.maxmemory)}" if server.maxmemory else ""
    own = "embedded " if about.embedded else ""
    what = f"{server.name.capitalize()} {printable(server.version)}"
    if server.nodes > 1:
        what += f" Cluster of {server.nodes} primaries"
    say(
        f"{own}{what} at {printable(about.where)}, {size(server.used_memory)}{limit} of memory used"
    )
    for warning in about.warnings:
        say(f"Warning: {printable(warning)}")
    for stream in about.streams:
        say()
        _show_stream(stream)
    assumed = lease_assumed([group for one in about.streams for group in one.groups], lease)
    if assumed:
        say(f"\n{assumed}")
    if about.forbidden:
        names = ", ".join(map(printable, about.forbidden))
        say(f"\nThe user's ACL denies access to other streams: {names}")
    elif not about.streams:
        say("\nThere are no streams yet. Write a first job:  streamq produce file=image_1.png")
    if not about.complete:
        say("\nThe server has too many keys to look at them all: there may be more streams")


def _show_stream(stream: StreamInfo) -> None:
    entries = "entry" if stream.length == 1 else "entries"
    later = f", {stream.scheduled:,} scheduled" if stream.scheduled else ""
    kept = "" if stream.retain is None else f", settled ones kept for {duration(stream.retain)}"
    parts = f" in {stream.partitions:,} partitions" if stream.partitions else ""
    say(f"{printable(stream.name)}: {stream.length:,} {entries}{parts}{kept}{later}")
    if stream.groups:
        say_groups(stream.groups)
    elif stream.length:
        say("No group reads it")
    pinned = who_pins(stream)
    if pinned:
        say(pinned)
    for name, abandoned in stream.abandoned.items():
        say(f"The group {abandoned_line(name, abandoned)}")
    for group, count in stream.orphaned_dead_letters.items():
        letters = "dead letter" if count == 1 else "dead letters"
        say(f"The deleted group {printable(group)} has left {count:,} {letters}")
