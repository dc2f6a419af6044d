"""The server's error replies in streamq's words."""

from __future__ import annotations

import redis.exceptions as redis_errors

from streamq.errors import (
    AuthenticationFailed,
    GroupNotFound,
    ServerRefused,
    ServerUnavailable,
    StreamqError,
    WrongKeyType,
)
from streamq.text import printable

# Error codes that pass by themselves: the same command may succeed later.
_PASSING = {
    "BUSY": "is busy with a script that runs too long",
    "CLUSTERDOWN": "has lost a part of its cluster",
    "LOADING": "is still loading its data",
    "MASTERDOWN": "has lost its primary",
    "MISCONF": "cannot write its data to disk and refuses writes",
    "NOREPLICAS": "has too few replicas and refuses writes",
    "OOM": "has reached its maxmemory and refuses writes",
    "READONLY": "is a read-only replica",
    "TRYAGAIN": "is moving the keys to another node",
    "UNBLOCKED": "has interrupted the command",
}

_REJECTED = (
    "the server at {where} does not accept the user name or the password: "
    "check the URL, redis://USER:PASSWORD@HOST:PORT"
)


class NoScript(StreamqError):
    """The server does not know a script by that digest (``NOSCRIPT``)."""


def error_reply(text: str, where: str) -> StreamqError:
    """The :class:`StreamqError` for an error reply.

    Args:
        text: the reply, which begins with its code.
        where: the server's address, without credentials.
    """
    code, _, rest = text.partition(" ")
    shown = printable(text, 300)
    # An error inside a script brings its own code along, behind the script's.
    if code in _PASSING:
        kind = ServerUnavailable if code in ("LOADING", "MASTERDOWN") else ServerRefused
        return kind(f"the server at {where} {_PASSING[code]} ({code})", passing=True)
    if code == "NOSCRIPT":
        return NoScript(shown)
    if code == "NOPERM":
        return AuthenticationFailed(f"the server at {where} does not permit it: {shown}")
    if code in ("NOAUTH", "WRONGPASS"):
        return AuthenticationFailed(_REJECTED.format(where=where))
    if "WRONGTYPE" in text:
        return WrongKeyType("the key holds another type than a stream: choose another stream name")
    if "NOGROUP" in text:
        return GroupNotFound(printable(rest if code == "NOGROUP" else text, 300))
    return ServerRefused(f"the server at {where} refused: {shown}")


def refused_connection(error: redis_errors.RedisError, where: str) -> StreamqError | None:
    """What the server said when redis-py connected; ``None`` if it said nothing."""
    if isinstance(error.__cause__, redis_errors.ResponseError):
        error = error.__cause__  # some of them redis-py takes for the network's fault
    text = printable(error, 300)
    if isinstance(error, redis_errors.AuthenticationError):
        return AuthenticationFailed(_REJECTED.format(where=where))
    if isinstance(error, redis_errors.BusyLoadingError):
        return error_reply("LOADING", where)
    if isinstance(error, redis_errors.NoPermissionError):
        return AuthenticationFailed(f"the server at {where} does not permit it: {text}")
    if isinstance(error, redis_errors.ResponseError):
        return error_reply(text, where)
    if "max number of clients" in text:
        return ServerUnavailable(f"the server at {where} has too many clients: {text}")
    return None
