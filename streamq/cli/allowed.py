"""What the App knows of jobs: how many attempts they may have, and how their data is written."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, NamedTuple

from streamq.cli.command import Option
from streamq.cli.loading import find_app
from streamq.cli.output import note
from streamq.errors import ConfigError
from streamq.text import printable

if TYPE_CHECKING:
    from streamq.admin import Allowed
    from streamq.codec import Codec

AppOption = Annotated[
    str | None,
    Option(
        "--app",
        "-a",
        metavar="MODULE:NAME",
        help="The App, which knows how many attempts a job may have, and how to read its data. "
        "[default: as for consume]",
        show_default=False,
    ),
]


class Known(NamedTuple):
    """What is known of jobs; both are ``None`` without an App."""

    allowed: Allowed | None = None
    codec: Codec | None = None


def known_by(name: str | None) -> Known:
    """What the App knows that ``--app`` names, or the environment or pyproject.toml.

    Returns:
        Nothing when none is named, or one that cannot be used and was not asked for by
        ``--app``: to see what is stuck must not depend on it.

    Raises:
        ConfigError: what ``--app`` names cannot be used.
    """
    try:
        app = find_app(name)
    except ConfigError as error:
        if name is not None:
            raise
        note(f"What the App knows of its jobs is left out: {printable(error)}")
        return Known()
    return Known() if app is None else Known(cache(app.max_attempts), app.codec)
