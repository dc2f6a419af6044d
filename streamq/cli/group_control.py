"""``streamq group pause``, ``resume`` and ``set``: what an operator says of a group that works."""

from __future__ import annotations

from typing import Annotated

from streamq.cli.command import Argument, Family, Option
from streamq.cli.connection import connect, run
from streamq.cli.options import Stream, Url, examples, from_server
from streamq.cli.output import say
from streamq.errors import ConfigError
from streamq.limits import DEFAULT_STREAM
from streamq.text import printable

Name = Annotated[
    str, Argument(metavar="GROUP", help="The group's name.", complete=from_server("groups"))
]
OneType = Annotated[
    str | None, Option("--type", "-t", metavar="TYPE", help="Only jobs of this type.")
]


def register(family: Family) -> None:
    """Add the commands to those of groups."""
    family.command(
        epilog=examples("streamq group pause mails", "streamq group pause mails --type newsletter")
    )(pause)
    family.command(epilog=examples("streamq group resume mails"))(resume)
    family.command(
        "set",
        epilog=examples(
            "streamq group set mails --rate 20/s",
            "streamq group set hooks --max-in-flight 50 --limit-per-key 2",
            "streamq group set mails --rate default",
        ),
    )(set_rules)


def pause(
    group: Name, type: OneType = None, stream: Stream = DEFAULT_STREAM, url: Url = None
) -> None:
    """Let a group begin no more jobs. Those that run go on.

    All workers obey within a second, and so do those that start later, until "streamq group
    resume". Jobs are kept meanwhile.
    """

    async def main() -> None:
        from streamq.admin import Admin

        async with connect(url) as server:
            changed = await Admin(server).pause(stream, group, type=type)
            said = "paused" if changed else "paused already"
            say(f"{_what(group, type, stream)}: {said}")

    run(main)


def resume(
    group: Name, type: OneType = None, stream: Stream = DEFAULT_STREAM, url: Url = None
) -> None:
    """Let a paused group, or a paused type in it, go on."""

    async def main() -> None:
        from streamq.admin import Admin

        async with connect(url) as server:
            changed = await Admin(server).resume(stream, group, type=type)
            said = "resumed" if changed else "was not paused"
            say(f"{_what(group, type, stream)}: {said}")

    run(main)


def set_rules(
    group: Name,
    rate: Annotated[
        str | None,
        Option("--rate", metavar="RATE", help="How fast its jobs may start: 100/s, 5/min."),
    ] = None,
    rate_per_key: Annotated[
        str | None,
        Option("--rate-per-key", metavar="RATE", help="How fast jobs of one key may start."),
    ] = None,
    max_in_flight: Annotated[
        str | None,
        Option("--max-in-flight", metavar="N", help="How many of its jobs may be in flight."),
    ] = None,
    limit_per_key: Annotated[
        str | None,
        Option("--limit-per-key", metavar="N", help="How many jobs of one key may be in flight."),
    ] = None,
    order: Annotated[
        str | None,
        Option("--order", metavar="on|off", help="Whether jobs of one key run in order."),
    ] = None,
    on_failure: Annotated[
        str | None,
        Option(
            "--on-failure",
            metavar="block|skip",
            help="With order: whether the key waits for a job's retry.",
        ),
    ] = None,
    key_from: Annotated[
        str | None,
        Option("--key-from", metavar="FIELD", help="The field of the data that is the key."),
    ] = None,
    max_held: Annotated[
        str | None,
        Option("--max-held", metavar="N", help="How many jobs may be held back."),
    ] = None,
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """Change the rules of a group while it works: order, limits, rates.

    They hold for all its workers on all machines, within a second, and go before what the
    program declares. "none" takes a rule away, "default" goes back to the program's.
    """
    given = {
        "rate": rate, "rate_per_key": rate_per_key, "max_in_flight": _number(max_in_flight),
        "limit_per_key": _number(limit_per_key), "order": _switch(order), "on_failure": on_failure,
        "key_from": key_from, "max_held": _number(max_held),
    }  # fmt: skip
    rules = {
        name: None if rule == "none" else rule for name, rule in given.items() if rule is not None
    }
    if not rules:
        raise ConfigError(
            "give a rule to change, such as --rate 20/s; see streamq group set --help"
        )

    async def main() -> None:
        from streamq.admin import Admin
        from streamq.cli.group_state import rules_set

        async with connect(url) as server:
            state = await Admin(server).set_rules(stream, group, **rules)
            said = f"set by hand: {rules_set(state)}" if state.limits else "as its program declares"
            say(f"{_what(group, None, stream)}: {said}")

    run(main)


def _what(group: str, type: str | None, stream: str) -> str:
    of = "" if type is None else f"the type {printable(type)} in "
    return f"{of}{printable(stream)} as {group}"


def _number(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else text


def _switch(text: str | None) -> bool | str | None:
    if text in ("on", "off"):
        return text == "on"
    if text not in (None, "none", "default"):
        raise ConfigError(f"--order {printable(text, 60)}: give on, off, none or default")
    return text
