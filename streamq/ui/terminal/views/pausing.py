"""Pausing a group, or letting it go on: the same key in several views."""

from __future__ import annotations

from streamq.text import printable
from streamq.ui.terminal.views.view import Desk


def pause_or_resume(desk: Desk, stream: str, group: str) -> None:
    """Ask, and do what the group is not doing."""
    picture = desk.feed.picture
    groups = () if picture is None else picture.groups
    paused = any(
        one.backlog.paused_since is not None
        for one in groups
        if (one.stream, one.name) == (stream, group)
    )
    name = f"{printable(group, 60)} on {printable(stream, 60)}"

    async def pause() -> str:
        new = await desk.admin.pause(stream, group)
        return f"Paused {name}" if new else f"{name} was paused already"

    async def resume() -> str:
        new = await desk.admin.resume(stream, group)
        return f"{name} goes on" if new else f"{name} was not paused"

    if paused:
        desk.change(f"Resume {name}?", resume)
    else:
        desk.change(f"Pause {name}?", pause)
