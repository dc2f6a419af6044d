"""What an operator sets for a group: paused, or other rules than its program declares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from streamq import lua
from streamq.admin.existing import require_group
from streamq.admin.reading import ask
from streamq.errors import ConfigError
from streamq.flow.rules import NAMES, NO_RULES
from streamq.flow.state import LIMIT, NOTHING_SET, PAUSED, PAUSED_TYPE, GroupState, parse_state
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


async def states_of_groups(
    server: Server, groups: Iterable[tuple[str, str]]
) -> Mapping[tuple[str, str], GroupState]:
    """See :meth:`streamq.admin.Admin.group_states`."""
    keys: dict[tuple[str, str], str] = {}
    for place in groups:
        try:
            keys[place] = group_keys(*place).state
        except ConfigError:
            pass  # another program's group, with a name that streamq does not use
    replies = await ask(server, *(("HGETALL", key) for key in keys.values()))
    return {
        place: parse_state(reply) if isinstance(reply, list) else NOTHING_SET
        for place, reply in zip(keys, replies, strict=True)
    }


async def _set(server: Server, stream: str, group: str, fields: Mapping[str, str]) -> bool:
    keys = group_keys(stream, group)
    await require_group(server, stream, group)
    return bool(await server.run(lua.set_state(keys, fields)))


def _field(type: str | None) -> str:
    return PAUSED if type is None else PAUSED_TYPE + check_type(type)
