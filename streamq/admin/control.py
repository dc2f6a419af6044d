"""What an operator sets for a group: paused, or other rules than its program declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from streamq import lua
from streamq.admin.existing import require_group
from streamq.errors import ConfigError
from streamq.flow.rules import NAMES, NO_RULES
from streamq.flow.state import LIMIT, PAUSED, PAUSED_TYPE, GroupState, parse_state
from streamq.server import Server
from streamq.wire.entry import check_type
from streamq.wire.keys import group_keys

AS_DECLARED = "default"
"""In place of a rule: what the program declares."""


async def pause(server: Server, stream: str, group: str, type: str | None) -> bool:
    """See :meth:`streamq.admin.Admin.pause`."""
    return await _set(server, stream, group, {_field(type): "now"})


async def resume(server: Server, stream: str, group: str, type: str | None) -> bool:
    """See :meth:`streamq.admin.Admin.resume`."""
    return await _set(server, stream, group, {_field(type): ""})


async def set_rules(
    server: Server, stream: str, group: str, changes: Mapping[str, Any]
) -> GroupState:
    """See :meth:`streamq.admin.Admin.set_rules`."""
    for name in changes:
        if name not in NAMES:
            raise ConfigError(f"{name} is no rule of a group: give {', '.join(NAMES)}")
    state = await state_of_group(server, stream, group)
    kept = {name: rule for name, rule in state.limits.items() if name not in changes}
    new = {name: rule for name, rule in changes.items() if rule != AS_DECLARED}
    NO_RULES.changed({**kept, **new})  # refuses what cannot be
    await _set(
        server, stream, group,
        {
            LIMIT + name: "" if rule == AS_DECLARED else orjson.dumps(rule).decode()
            for name, rule in changes.items()
        },
    )  # fmt: skip
    return await state_of_group(server, stream, group)


async def state_of_group(server: Server, stream: str, group: str) -> GroupState:
    """What is set for a group.

    Raises:
        GroupNotFound: there is no such group.
    """
    keys = group_keys(stream, group)
    await require_group(server, stream, group)
    return parse_state(await server.call("HGETALL", keys.state))


async def _set(server: Server, stream: str, group: str, fields: Mapping[str, str]) -> bool:
    keys = group_keys(stream, group)
    await require_group(server, stream, group)
    return bool(await server.run(lua.set_state(keys, fields)))


def _field(type: str | None) -> str:
    return PAUSED if type is None else PAUSED_TYPE + check_type(type)
