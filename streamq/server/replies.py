"""The server's error replies in streamq's words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from streamq.errors import (
    AuthenticationFailed,
    BacklogFull,
    GroupNotFound,
    ServerRefused,
    ServerUnavailable,
    StreamqError,
    WrongKeyType,
)
from streamq.server.address import Address
from streamq.text import printable, size
from streamq.wire.keys import dead_letters_of, kind_of

# Error codes that pass by themselves: the same command may succeed later.
_PASSING = {
    "BUSY": "is busy with a script that runs too long",
    "LOADING": "is still loading its data",
    "MASTERDOWN": "has lost its primary",
    "MISCONF": "cannot write its data to disk and refuses writes",
    "NOREPLICAS": "has too few replicas and refuses writes",
    "READONLY": "is a read-only replica",
    "UNBLOCKED": "has interrupted the command",
}

# Of a Cluster: the command was not carried out, and may be in a moment.
_UNSTABLE = {
    "CLUSTERDOWN": "says that a part of its Cluster is down",
    "TRYAGAIN": "is moving the keys to another node",
}

_REJECTED = (
    "the server at {where} does not accept the user name or the password: "
    "check the URL, redis://USER:PASSWORD@HOST:PORT"
)
_FULL = "the server at {where} has reached its maxmemory and refuses writes (OOM)"
_COMMAND = re.compile(r"[Uu]ser (?:(\S+) )?has no permissions to run the '([^']+)' command")
_ANY_CHANNEL = re.compile(r"[Nn]o permissions to access (?:a|one of the) channel")
_ANY_KEY = re.compile(r"[Nn]o permissions to access (?:a|one of the) key")

_NO_PASSWORD = re.compile(r"invalid password|AUTH.* password")
"""How a server that has no password, or an old one, refuses the one that it is given."""

_REDIRECTION = re.compile(r"(MOVED|ASK) ([0-9]{1,5}) (.*):([0-9]{1,5})")

_NEEDS = "streamq needs "
"""In the error of a script that has looked at its rights: what follows are those missing."""

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


class KeyTaken(StreamqError):
    """A job's idempotency key is taken (``KEYTAKEN``, by a script of streamq's own).

    Attributes:
        id: the job that has it: an entry's ID, or the name of a schedule.
        due: when that one is due, ms as text; ``None`` for what is in the stream.
    """

    def __init__(self, rest: str) -> None:
        super().__init__(printable(rest, 300))
        id, _, due = rest.partition(" ")
        self.id, self.due = id.encode(), due.encode() or None


class Repartitioned(StreamqError):
    """The stream has another number of partitions (``REPARTITIONED``, by a script of our own).

    Attributes:
        count: how many; 0 for a partition that is not open.
    """

    def __init__(self, rest: str) -> None:
        super().__init__(f"the stream has another number of partitions: {printable(rest, 60)}")
        self.count = int(rest) if rest.isdigit() else 0


class NotKnown(StreamqError):
    """No job has the idempotency key here (``NOTKNOWN``, by a script of our own)."""


class Redirected(ServerRefused):
    """The key's slot is not this node's (``MOVED``), or is being moved away (``ASK``).

    Attributes:
        slot: the slot's number.
        host: of the node that has it; empty for the host that was asked.
        port: of that node.
        once: whether only this command is to go there.
    """

    def __init__(self, code: str, slot: str, host: str, port: str, where: str) -> None:
        super().__init__(
            f"the server at {where} is a node of a Cluster, and the key is on another one "
            f"({code}): write redis+cluster:// in the URL, or App(cluster=True)"
        )
        self.slot, self.host, self.port = int(slot), host, int(port)
        self.once = code == "ASK"


class Unstable(ServerRefused):
    """A Cluster cannot carry a command out now, and has not (``TRYAGAIN``, ``CLUSTERDOWN``).

    Attributes:
        down: whether it has lost a part of itself.
    """

    def __init__(self, message: str, *, down: bool) -> None:
        super().__init__(message, passing=True)
        self.down = down


class OutOfMemory(ServerRefused):
    """The server has reached its limit of memory; it does not say what that is."""


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
    if code in _UNSTABLE:
        message = f"the server at {where} {_UNSTABLE[code]} ({code})"
        return Unstable(message, down=code == "CLUSTERDOWN")
    if redirection := _REDIRECTION.fullmatch(text):
        code, slot, host, port = redirection.groups()
        return Redirected(code, slot, host, port, where)
    if code == "CROSSSLOT":
        return ServerRefused(
            f"the server at {where} refused: on a Cluster, what is written at once must share a "
            "slot (CROSSSLOT); give both streams the same hash tag, such as {eu}:jobs, {eu}:mails"
        )
    if code == "OOM":
        return OutOfMemory(_FULL.format(where=where), passing=True)
    if code == "NOSCRIPT":
        return NoScript(shown)
    if code == "KEYTAKEN":
        return KeyTaken(rest)
    if code == "REPARTITIONED":
        return Repartitioned(rest)
    if code == "NOTKNOWN":
        return NotKnown(shown)
    if code == "NOPERM" or "ACL failure in script" in text:
        return _not_permitted(text, where)
    if code in ("NOAUTH", "WRONGPASS") or (code == "ERR" and _NO_PASSWORD.search(rest)):
        return AuthenticationFailed(_REJECTED.format(where=where))
    if "WRONGTYPE" in text:
        return WrongKeyType("the key holds another type than a stream: choose another stream name")
    if "NOGROUP" in text:
        return GroupNotFound(printable(rest if code == "NOGROUP" else text, 300))
    if code == "BACKLOGFULL":
        return BacklogFull("", int(rest), 0)
    if code == "DENIED" and "protected mode" in text:
        return ServerRefused(
            f"the server at {where} is in protected mode and takes no connections from other "
            "machines (DENIED): give it a password, or the address to listen on with bind"
        )
    if code == "ERR" and "max number of clients" in text:
        return ServerUnavailable(f"the server at {where} has too many clients: {shown}")
    if code == "ERR" and "DB index" in text:
        return ServerRefused(
            f"the server at {where} has no database of the number in the URL: {shown}"
        )
    return ServerRefused(f"the server at {where} refused: {shown}")


def out_of_memory(address: Address, limit: int) -> ServerRefused:
    """The error of a server that has no memory left, with what to do about it.

    Args:
        limit: its ``maxmemory`` in bytes; 0 where it is not known.
    """
    message = _FULL.format(where=address.shown) + ": "
    if limit:
        message += f"its limit is {size(limit)}; "
    if address.embedded:
        message = message.replace("the server", "the embedded server", 1) + (
            "let a worker consume jobs, delete dead letters with `streamq dlq purge`, or stop it "
            "with `streamq server stop` and start it with a larger STREAMQ_MAXMEMORY"
        )
    else:
        message += "let workers consume jobs, delete dead letters, or raise maxmemory on the server"
    return ServerRefused(message, passing=True)


def wrong_key_type(keys: Sequence[str], kinds: Sequence[object]) -> WrongKeyType | None:
    """Which of the keys holds another type than it must, as far as it can be seen.

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


def lacks_rights(where: str, missing: Sequence[bytes]) -> AuthenticationFailed:
    """A user has not all the rights that a script needs.

    Args:
        missing: ``command key`` of each, as ``rights.lua`` lists them.
    """
    named = [printable(one, 300) for one in missing]
    return AuthenticationFailed(
        f"the server at {where} does not permit it: the user lacks {', '.join(named)}; add these "
        f"commands (+) and keys (~) to its ACL, {_ACL}"
    )


def _not_permitted(text: str, where: str) -> AuthenticationFailed:
    if _NEEDS in text:
        return lacks_rights(where, text.partition(_NEEDS)[2].encode().split(b", "))
    if _ANY_KEY.search(text):
        return KeyNotPermitted(where)
    match = _COMMAND.search(text)
    if _ANY_CHANNEL.search(text):
        why = (
            "the user may not listen to a channel, as who waits for results must; add it to the "
            f"user's ACL with &{{STREAM}}:*, {_ACL}"
        )
    elif match is None:
        why = f"{printable(text, 300)}; {_ACL}"
    else:
        user, command = (printable(part or "", 100) for part in match.groups())
        whose = f"the user {user}" if user else "the user"
        why = f"{whose} may not run {command}; add +{command} to its ACL, {_ACL}"
    return AuthenticationFailed(f"the server at {where} does not permit it: {why}")
