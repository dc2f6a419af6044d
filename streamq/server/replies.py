"""The server's error replies in streamq's words."""

from __future__ import annotations

import re
from collections.abc import Sequence

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
from streamq.wire.keys import dead_letters_of, kind_of

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


_COMMAND = re.compile(r"[Uu]ser (?:(\S+) )?has no permissions to run the '([^']+)' command")
_ANY_KEY = re.compile(r"[Nn]o permissions to access (?:a|one of the) key")

_ACL = "see docs/security.md for what each role needs"


class KeyNotPermitted(AuthenticationFailed):
    """The user may not access a key; the server does not say which.

    Args:
        asked: what was asked for.
    """

    def __init__(self, where: str, asked: object = "") -> None:
        of = f" ({printable(asked, 300)})" if asked else ""
        super().__init__(
            f"the server at {where} does not permit it: the user may not access a key{of}; "
            f"add it to the user's ACL with ~KEY, {_ACL}"
        )
        self.where = where


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
    if code == "NOPERM" or "ACL failure in script" in text:
        return _not_permitted(text, where)
    if code in ("NOAUTH", "WRONGPASS"):
        return AuthenticationFailed(_REJECTED.format(where=where))
    if "WRONGTYPE" in text:
        return WrongKeyType("the key holds another type than a stream: choose another stream name")
    if "NOGROUP" in text:
        return GroupNotFound(printable(rest if code == "NOGROUP" else text, 300))
    return ServerRefused(f"the server at {where} refused: {shown}")


def wrong_key_type(keys: Sequence[str], kinds: Sequence[object]) -> WrongKeyType | None:
    """Which of the keys holds another type than it must, as far as can be told.

    Args:
        kinds: what ``TYPE`` answered for each.
    """
    for key, kind in zip(keys, kinds, strict=True):
        wanted = kind_of(key)
        if not isinstance(kind, bytes) or kind.decode() in ("none", wanted):
            continue
        name = printable(key, 300)
        if wanted == "stream" and dead_letters_of(key) is None:
            return WrongKeyType(
                f"the key {name} holds another type than a stream, a {kind.decode()}: "
                "choose another stream name"
            )
        return WrongKeyType(
            f"the key {name}, which is streamq's own, holds another type than a {wanted}, a "
            f"{kind.decode()}: give it another name with RENAME"
        )
    return None


def _not_permitted(text: str, where: str) -> AuthenticationFailed:
    if _ANY_KEY.search(text):
        return KeyNotPermitted(where)
    match = _COMMAND.search(text)
    if match is None:
        why = f"{printable(text, 300)}; {_ACL}"
    else:
        user, command = (printable(part or "", 100) for part in match.groups())
        whose = f"the user {user}" if user else "the user"
        why = f"{whose} may not run {command}; add +{command} to its ACL, {_ACL}"
    return AuthenticationFailed(f"the server at {where} does not permit it: {why}")


def refused_connection(error: Exception, where: str) -> StreamqError | None:
    """What the server said when redis-py connected; ``None`` if it said nothing."""
    if isinstance(error.__cause__, redis_errors.ResponseError):
        error = error.__cause__  # some of them redis-py takes for the network's fault
    text = printable(error, 300)
    if isinstance(error, redis_errors.AuthenticationError):
        return AuthenticationFailed(_REJECTED.format(where=where))
    if isinstance(error, redis_errors.BusyLoadingError):
        return error_reply("LOADING", where)
    if isinstance(error, redis_errors.NoPermissionError):
        return _not_permitted(text, where)
    if isinstance(error, redis_errors.ResponseError):
        return error_reply(text, where)
    if "max number of clients" in text:
        return ServerUnavailable(f"the server at {where} has too many clients: {text}")
    return None
