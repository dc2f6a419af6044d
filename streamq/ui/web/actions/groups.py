"""What is done to groups and their consumers: paused, resumed, limited, released."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from streamq.errors import ConfigError, StillInUse
from streamq.flow.rules import NAMES
from streamq.text import printable
from streamq.ui.web.actions.asked import Asked, Confirm, Done
from streamq.ui.web.formats import plural

Answer = Confirm | Done

_WHOLE_NUMBERS = ("max_in_flight", "limit_per_key", "max_held")


async def pause(asked: Asked) -> Answer:
    """Let a group begin no more jobs, or none of a type."""
    _, group = asked.place
    type = asked.form.get("type").strip() or None
    new = await asked.admin.pause(*asked.place, type=type)
    what = group if type is None else f"{printable(type)} in {group}"
    return Done(f"Paused {what}. Jobs that run go on." if new else f"{what} was paused already.")


async def resume(asked: Asked) -> Answer:
    """Let it go on."""
    _, group = asked.place
    type = asked.form.get("type").strip() or None
    new = await asked.admin.resume(*asked.place, type=type)
    what = group if type is None else f"{printable(type)} in {group}"
    return Done(f"Resumed {what}." if new else f"{what} was not paused.")


async def limit(asked: Asked) -> Answer:
    """Change one of its rules; an empty value takes it away."""
    _, group = asked.place
    rule, given = asked.need("rule"), asked.form.get("value").strip()
    if rule not in NAMES:
        raise ConfigError(f"{printable(rule, 60)} is no rule of a group")
    if asked.form.get("as") == "declared":
        await _set(asked, rule, "default")
        return Done(f"{rule} of {group} is what the program declares, within a second.")
    value: str | int | None = given or None
    if rule in _WHOLE_NUMBERS and given:
        if not given.isdecimal() or len(given) > 12:
            raise ConfigError(f"{rule}: give a whole number, 1 or more")
        value = int(given)
    await _set(asked, rule, value)
    if value is None:
        return Done(f"{group} has no {rule}, within a second.")
    return Done(f"{rule} of {group} is {value}, within a second.")


async def _set(asked: Asked, rule: str, value: str | int | None) -> None:
    stream, group = asked.place
    await asked.admin.set_rules(stream, group, **{rule: value})


async def release(asked: Asked) -> Answer:
    """Give back what a consumer holds, and remove it."""
    _, group = asked.place
    consumer = asked.need("consumer")
    name = printable(consumer, 200)
    if not asked.confirmed:
        known = await asked.admin.consumers(*asked.place, jobs=0)
        found = next((one.consumer for one in known if one.consumer.name == consumer), None)
        if found is None:
            return Done(f"{group} has no consumer {name}.", bad=True)
        lines = [f"{plural(found.pending, 'job')} of it become due at once, for other consumers."]
        if found.alive:
            lines.append("It is alive: it cancels what it runs, and that runs a second time.")
        return Confirm(
            f"Release the consumer {name}?", f"Release {plural(found.pending, 'job')}", lines,
            dangerous=found.alive, extra=[("force", "yes" if found.alive else "")],
        )  # fmt: skip
    force = asked.form.get("force") == "yes"
    try:
        given = await asked.admin.release(*asked.place, consumer, force=force)
    except StillInUse:
        return Done(f"{name} is alive again: it was left alone.", bad=True)
    kept = "" if given.removed else " It has taken new ones, and stays."
    return Done(f"Released {plural(given.jobs, 'job')} of {name}, due now.{kept}")


ACTIONS: dict[str, Callable[[Asked], Awaitable[Answer]]] = {
    "pause": pause, "resume": resume, "limit": limit, "release": release
}  # fmt: skip
