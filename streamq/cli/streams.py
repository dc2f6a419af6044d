"""``streamq stream``: what all workers of a stream agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from streamq.cli.command import Argument, BadParameter, Family, Option
from streamq.cli.connection import connect, run
from streamq.cli.options import Json, Url, at_least, examples, family, from_server, seconds
from streamq.cli.output import duration, moment, say, say_fields, say_json
from streamq.errors import ConfigError
from streamq.limits import DEFAULT_STREAM, MAX_PARTITIONS
from streamq.text import printable

if TYPE_CHECKING:
    from streamq.admin import AbandonedGroup, StreamSettings


def register(app: Family) -> None:
    """Add the commands."""
    app.add(
        commands,
        name="stream",
        epilog=examples(
            "streamq stream show jobs",
            "streamq stream set jobs --retain 7d",
            "streamq stream grow jobs --to 16",
        ),
    )


commands = family("Show or change the settings of a stream, or let it grow.")


def span_or_off(text: str | float) -> float:
    """A duration, or ``off``, which is 0; for ``Option(parser=span_or_off)``."""
    if text == "off":
        return 0.0
    try:
        return seconds(text)
    except BadParameter:
        raise BadParameter(
            f"{printable(text, 60)!r} is not a duration: give 12h, 7d, or off"
        ) from None


Name = Annotated[
    str, Argument(metavar="STREAM", help="The stream.", complete=from_server("streams"))
]


@commands.command(
    epilog=examples("streamq stream show jobs", "streamq stream show --json | jq .retain")
)
def show(stream: Name = DEFAULT_STREAM, json: Json = False, url: Url = None) -> None:
    """Show the settings of a stream."""

    async def main() -> None:
        from streamq.admin import Admin

        async with connect(url) as server:
            _show(await Admin(server).settings(stream), json=json)

    run(main)


@commands.command(
    "set",
    epilog=examples(
        "streamq stream set jobs --retain 7d",
        "streamq stream set jobs --retain off",
        "streamq stream set jobs --abandon-after 3d --group audit",
    ),
)
def set_(
    stream: Name = DEFAULT_STREAM,
    retain: Annotated[
        float | None,
        Option(
            "--retain",
            metavar="TIME",
            parser=span_or_off,
            help="How long an entry is kept that every group has settled, for groups that come "
            "later and for replays; off for not at all.",
        ),
    ] = None,
    abandon_after: Annotated[
        float | None,
        Option(
            "--abandon-after",
            metavar="TIME",
            parser=span_or_off,
            help="How long a group without a live consumer keeps its entries. After that, those "
            "that it has not read are lost to it, and its pending jobs are dead letters. off for "
            "ever.",
        ),
    ] = None,
    group: Annotated[
        str | None,
        Option(
            "--group",
            "-g",
            metavar="NAME",
            help="--abandon-after is for this group only.",
            complete=from_server("groups"),
        ),
    ] = None,
    json: Json = False,
    url: Url = None,
) -> None:
    """Change the settings of a stream, for all its workers, at once.

    Workers that run need not be started again. An App with retain=... sets its own when its
    worker starts.
    """
    if retain is None and abandon_after is None:
        raise ConfigError("nothing to set: give --retain or --abandon-after")
    if group is not None and abandon_after is None:
        raise ConfigError("--group is for --abandon-after: entries are retained for all groups")

    async def main() -> None:
        from streamq.admin import Admin

        async with connect(url) as server:
            changed = await Admin(server).set_stream(
                stream, retain=retain, abandon_after=abandon_after, group=group
            )
            _show(changed, json=json)

    run(main)


@commands.command(
    epilog=examples(
        "streamq stream grow jobs --to 16", "streamq stream grow jobs --to 8 --url redis://db:6379"
    )
)
def grow(
    to: Annotated[
        int,
        Option(
            "--to",
            metavar="N",
            parser=at_least(1, MAX_PARTITIONS),
            help="How many partitions it is to have: a multiple of those it has.",
        ),
    ],
    stream: Name = DEFAULT_STREAM,
    json: Json = False,
    url: Url = None,
) -> None:
    """Give a stream more partitions, while it is written to and worked on.

    A partition is a key of its own, and may be on a node of its own of a Cluster. No job moves,
    and none is lost; the jobs of one key stay in order. Producers and workers notice it within
    seconds. It may be interrupted and run again.

    A stream without partitions gets its first ones: then start its workers again, and the
    programs that write to it with App(streams={"jobs": Partitioned(N)}).
    """

    async def main() -> None:
        from streamq.admin import Admin

        async with connect(url) as server:
            admin = Admin(server)
            before = (await admin.settings(stream)).partitions
            settings = await admin.grow(stream, to)
            if json:
                _show(settings, json=True)
                return
            had = f", and had {before:,}" if before and before != to else ""
            say(f"The stream {printable(stream)} has {settings.partitions:,} partitions{had}")

    run(main)


def abandoned_line(name: str, group: AbandonedGroup) -> str:
    """What to tell of a group that is abandoned."""
    jobs = "job was" if group.unread == 1 else "jobs were"
    return (
        f"{printable(name)} is abandoned since {moment(group.since)}, for it had no live consumer: "
        f"{group.unread:,} unread {jobs} given up"
    )


def _show(settings: StreamSettings, *, json: bool) -> None:
    if json:
        say_json(settings.to_dict())
        return
    say_fields(
        {
            "partitions": settings.partitions,
            "grows to": settings.growing,
            "retain": "off" if settings.retain is None else duration(settings.retain),
            "abandon after": _or_never(settings.abandon_after),
        }
        | {
            f"abandon {group} after": _or_never(after)
            for group, after in settings.abandon_group_after.items()
        }
    )
    for name, group in settings.abandoned.items():
        say(f"The group {abandoned_line(name, group)}")


def _or_never(after: float | None) -> str:
    return duration(after) if after else "off"
