"""How many attempts a job may have: the App's handlers know."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated

from streamq.cli.command import Option
from streamq.cli.loading import find_app
from streamq.cli.output import note
from streamq.errors import ConfigError
from streamq.text import printable

if TYPE_CHECKING:
    from streamq.admin import Allowed

AppOption = Annotated[
    str | None,
    Option(
        "--app",
        "-a",
        metavar="MODULE:NAME",
        help="The App, which knows how many attempts a job may have. [default: as for consume]",
        show_default=False,
    ),
]


def allowed_by(name: str | None) -> Allowed | None:
    """The rules of the App that ``--app`` names, or the environment or pyproject.toml.

    Returns:
        ``None`` when none is named, or one that cannot be used and was not asked for by
        ``--app``: to see what is stuck must not depend on it.

    Raises:
        ConfigError: what ``--app`` names cannot be used.
    """
    try:
        app = find_app(name)
    except ConfigError as error:
        if name is not None:
            raise
        note(f"How many attempts a job may have is not known: {printable(error)}")
        return None
    return None if app is None else cache(app.max_attempts)
