"""Checks of the options of a new job, wherever it is made: produced, or emitted by a handler."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NoReturn

from streamq.errors import ConfigError
from streamq.limits import MAX_KEY
from streamq.text import printable, span


def taken(event: object, data: object = None) -> tuple[str, Mapping[str, Any]]:
    """The type and the data of an event.

    Raises:
        TypeError: it is no event, or there is other data beside it.
    """
    from streamq.event import Event, event_type

    if not isinstance(event, Event):
        raise TypeError(
            f"give the job's type and a mapping, or an Event, not {type(event).__name__}"
        )
    if data is not None:
        raise TypeError(f"{type(event).__name__} has its own data: leave out the mapping")
    return event_type(event), event.model_dump(mode="json")


def refuse_options(function: str, unknown: Mapping[str, object]) -> NoReturn:
    """Refuse keywords that are no options.

    Raises:
        TypeError: always; it shows the mapping to write.
    """
    names = ", ".join(f"{name!r}: …" for name in unknown)
    raise TypeError(
        f"{function}() has no option {next(iter(unknown))!r}: data goes into the mapping, "
        f"{function}(type, {{{names}}})"
    )


def check_key(name: str, key: str | None) -> str | None:
    """Return ``key`` if it can be one.

    Raises:
        ConfigError: it is empty, too long or cannot be written.
    """
    if key is not None and not 0 < len(key) <= MAX_KEY:
        raise ConfigError(f"{name}= takes 1 to {MAX_KEY} characters, not {len(key)}")
    return check_text(name, key)


def check_text(name: str, text: str | None) -> str | None:
    """Return ``text`` if it can be written as UTF-8.

    Raises:
        ConfigError: it cannot.
    """
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{name}={text!r} cannot be written as UTF-8") from None
    return text


def milliseconds(name: str, seconds: float | None) -> int | None:
    """Seconds as milliseconds.

    Raises:
        ConfigError: they are negative or beyond reason.
    """
    if seconds is None:
        return None
    if not 0 <= seconds < 1e10:
        raise ConfigError(f"{name}={seconds!r}: give seconds, zero or more")
    return int(seconds * 1000)


def milliseconds_of(name: str, time: str | float) -> int:
    """A duration, such as ``7d`` or 30.0 seconds, in milliseconds.

    Raises:
        ConfigError: it is none, is negative or beyond reason.
    """
    seconds = span(time) if isinstance(time, str) else time
    if not isinstance(seconds, int | float) or not 0 <= seconds < 1e10:
        raise ConfigError(
            f"{name}={printable(repr(time), 60)}: give seconds, or a text such as 12h or 7d"
        )
    return int(seconds * 1000)


def due_time(delay: float | None, at: datetime | None) -> tuple[str, int] | None:
    """When a job is to be written: ``("in", ms)``, ``("at", Unix time in ms)``, or at once.

    Raises:
        ConfigError: both are given, or a time without a time zone.
    """
    if at is None:
        ms = milliseconds("delay", delay)
        return None if ms is None else ("in", ms)
    if delay is not None:
        raise ConfigError("give either delay or at, not both")
    if at.tzinfo is None:
        raise ConfigError(f"at={at!r} has no time zone: give one, as datetime.now(UTC) has")
    return "at", int(at.timestamp() * 1000)
