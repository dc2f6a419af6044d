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

_CODES: dict[type[Exception], str] = {
    redis_errors.BusyLoadingError: "LOADING",
    redis_errors.ClusterDownError: "CLUSTERDOWN",
    redis_errors.MasterDownError: "MASTERDOWN",
    redis_errors.OutOfMemoryError: "OOM",
    redis_errors.ReadOnlyError: "READONLY",
    redis_errors.TryAgainError: "TRYAGAIN",
}


def translate(error: Exception, where: str) -> StreamqError:
    """The :class:`StreamqError` for an exception of redis-py's.

    Args:
        error: what redis-py raised or returned.
        where: the server's address, without credentials.
    """
    text = printable(error, 300)
    code = _CODES.get(type(error)) or text.partition(" ")[0]
    if code in _PASSING:
        kind = ServerUnavailable if code in ("LOADING", "MASTERDOWN") else ServerRefused
        return kind(f"the server at {where} {_PASSING[code]} ({code})", passing=True)
    if isinstance(error, redis_errors.NoPermissionError):
        return AuthenticationFailed(f"the server at {where} does not permit it: {text}")
    if isinstance(error, redis_errors.AuthenticationError):
        return AuthenticationFailed(
            f"the server at {where} does not accept the user name or the password: "
            "check the URL, redis://USER:PASSWORD@HOST:PORT"
        )
    if code == "WRONGTYPE" or "WRONGTYPE" in text:
        return WrongKeyType("the key holds another type than a stream: choose another stream name")
    if code == "NOGROUP" or "NOGROUP" in text:
        return GroupNotFound(text.removeprefix("NOGROUP "))
    if isinstance(error, redis_errors.ResponseError):
        return ServerRefused(f"the server at {where} refused: {text}")
    return ServerUnavailable(f"the connection to {where} failed: {text}", passing=True)
