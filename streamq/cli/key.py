"""``streamq key``: keys for encrypted data."""

from __future__ import annotations

from streamq.cli.command import Family
from streamq.cli.options import examples, family
from streamq.cli.output import is_terminal, note, say


def register(app: Family) -> None:
    """Add the commands."""
    app.add(commands, name="key", epilog=examples("streamq key new"))


commands = family("Make keys for encrypted data.")


@commands.command(epilog=examples("streamq key new", 'export STREAMQ_KEYS="$(streamq key new)"'))
def new() -> None:
    """Print a new key, 32 random bytes as text.

    It is written nowhere else. What was encrypted with a key that is lost cannot be read
    by anybody.
    """
    from streamq.encryption import ENV_KEYS, new_key

    say(new_key())
    if is_terminal():
        note(f"\nKeep it where the service keeps its secrets, and give it to it as {ENV_KEYS}.")
        note("To change keys, put the new one in front of the old one, with a blank between.")
