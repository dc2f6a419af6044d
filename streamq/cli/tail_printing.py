"""Lines of ``streamq tail``: aligned, and in colour at a terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from streamq.cli.output import console, duration, is_terminal, say
from streamq.text import printable

if TYPE_CHECKING:
    from streamq.admin import Followed

COLOURS = {
    "queued": "blue",
    "succeeded": "green",
    "retrying": "yellow",
    "reclaimed": "yellow",
    "dead": "red",
    "cancelled": "magenta",
    "expired": "magenta",
}

STATE = max(map(len, COLOURS))
WIDEST = 24
"""Characters to which a column grows; what is wider stands out."""


class Lines:
    """Prints events in columns that grow with what they hold, and never shrink."""

    def __init__(self) -> None:
        self._terminal = is_terminal()
        self._console = console() if self._terminal else None
        self._widths = {"id": 15, "type": 0, "group": 0}

    def say(self, event: Followed) -> None:
        """Print one event."""
        seconds, ms = divmod(round(event.at * 1000), 1000)
        cells = [
            f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{ms:03d}",
            f"{event.state:<{STATE}}",
            self._cell("id", event.id),
            self._cell("type", event.type),
            self._cell("group", event.group),
            _about(event),
        ]
        line = "  ".join(cells).rstrip()
        if self._console is None:
            say(line)
            return
        from rich.text import Text

        text = Text(line)
        start = len(cells[0]) + 2
        text.stylize("dim", 0, start)
        if event.state in COLOURS:
            text.stylize(COLOURS[event.state], start, start + STATE)
        self._console.print(text, soft_wrap=True)  # whoever copies a line gets one

    def _cell(self, name: str, value: str | None) -> str:
        shown = printable(value) if value else "-"
        width = self._widths[name] = max(self._widths[name], min(len(shown), WIDEST))
        return f"{shown:<{width}}"


def _about(event: Followed) -> str:
    """The rest of an event, for a person."""
    if event.state == "queued":
        return event.preview or ""
    said = []
    if event.attempt is not None and event.state != "skipped":
        said.append(f"attempt {event.attempt}")
    if event.seconds is not None:
        said.append(duration(event.seconds))
    if event.next_attempt is not None:
        said.append(f"next in {duration(event.next_attempt)}" if event.next_attempt else "next now")
    if event.state == "reclaimed":
        said.append(f"from {printable(event.consumer, 100)}")
    if event.reason:
        said.append(printable(event.reason))
    about = ", ".join(said)
    return f"{about}: {printable(event.error)}" if event.error else about
