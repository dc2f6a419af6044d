"""How a screen is made up: header, view, a line about what is meant, keys."""

from __future__ import annotations

from collections.abc import Sequence

from streamq.ui.terminal.feed import Feed
from streamq.ui.terminal.header import header
from streamq.ui.terminal.line import Line, joined
from streamq.ui.terminal.marks import Marks
from streamq.ui.terminal.terminal import Size
from streamq.ui.terminal.views.view import Key, View

LEAST = Size(40, 10)
"""What does not fit here is not drawn."""

BACK = Key(("esc",), "back", "Esc")
ALWAYS = (Key(("?",), "help"), Key(("q",), "quit"))
ELSEWHERE = (
    Key(("up", "down"), "move; also k and j", "Up, Down"),
    Key(("pageup", "pagedown"), "a page up or down", "PgUp, PgDn"),
    Key(("home", "end"), "to the first or the last; also g and G", "Home, End"),
    Key(("redraw",), "draw the screen again", "Ctrl-L"),
)


def screen(
    view: View, feed: Feed, marks: Marks, size: Size, line: Line | None, keys: Sequence[Key],
    *, help: bool,
) -> list[Line]:  # fmt: skip
    """All lines of a screen, each as wide as it is.

    Args:
        line: stands for the view's own note: a message or a prompt.
        keys: those that can be pressed here, the best known first.
        help: whether the keys are shown instead of the view.
    """
    width, height = size
    if width < LEAST.width or height < LEAST.height:
        said = f"Too small: {LEAST.width} by {LEAST.height} is the least"
        lines = [Line(said).fitted(width, marks.end)]
        return lines + [Line().fitted(width)] * (height - len(lines))
    top = header(feed, marks, width)
    room = height - len(top) - 2
    body = [*(_help(keys) if help else view.body(width, room))][:room]
    body += [Line()] * (room - len(body))
    bottom = [view.note() if line is None else line, _footer(keys, width)]
    return [one.fitted(width, marks.end) for one in (*top, *body, *bottom)]


def _footer(keys: Sequence[Key], width: int) -> Line:
    """The keys for which there is room; those to leave with always are there."""
    most = [key for key in keys if key not in (BACK, *ALWAYS)]
    leave = [key for key in keys if key in (BACK, *ALWAYS)]

    def line() -> Line:
        said = (Line((key.label, "bold"), f" {key.does}") for key in (*most, *leave))
        return joined(said, ("  ", ""))

    while most and line().width > width:
        most.pop()
    return line()


def _help(keys: Sequence[Key]) -> list[Line]:
    shown = [*keys, *ELSEWHERE]
    width = max(len(key.label) for key in shown)
    lines = [Line((f"  {key.label:<{width}}", "bold"), f"  {key.does}") for key in shown]
    return [Line(("Keys", "bold")), Line(), *lines, Line(), Line(("Any key closes this", "dim"))]
