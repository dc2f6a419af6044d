"""What an operator has set for a group, in words."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from streamq.cli.output import duration
from streamq.text import printable

if TYPE_CHECKING:
    from streamq.admin import GroupInfo
    from streamq.flow.state import GroupState


def state_lines(group: GroupInfo) -> list[str]:
    """What an operator has set for a group, a phrase each."""
    state, said = group.state, []
    if state.paused_since is not None:
        said.append(f"paused for {_since(state.paused_since)}")
    said += [
        f"the type {printable(type)} paused for {_since(since)}"
        for type, since in state.paused_types.items()
    ]
    if state.limits:
        said.append(f"set by hand: {rules_set(state)}")
    return said


def rules_set(state: GroupState) -> str:
    """The rules that were changed by hand."""
    words: dict[object, str] = {None: "none", True: "on", False: "off"}
    return ", ".join(
        f"{name} {words.get(rule) or printable(rule, 60)}" for name, rule in state.limits.items()
    )


def _since(unix: float) -> str:
    return duration(max(time.time() - unix, 0))
