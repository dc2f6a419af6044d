"""Asking a server that may refuse: an ACL, or a service that has taken commands away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamq.admin.doctor.findings import Refused
from streamq.admin.reading import named, text
from streamq.errors import AuthenticationFailed, ServerRefused
from streamq.server import Arg, Server
from streamq.server.info import parse_info


async def ask(server: Server, *command: Arg) -> Any:
    """The reply to a command.

    Raises:
        Refused: the server refuses it; its text is the command.
    """
    try:
        return await server.call(*command)
    except (AuthenticationFailed, ServerRefused):
        words = [word for word in command[:3] if isinstance(word, str)]
        raise Refused(" ".join(words)) from None


async def section(server: Server, name: str) -> Mapping[str, str]:
    """The fields of one section of ``INFO``."""
    return parse_info(await ask(server, "INFO", name))


async def setting(server: Server, name: str) -> str:
    """The value of one setting; empty also where the server does not know it.

    Raises:
        Refused: the server does not tell, as many managed ones do not.
    """
    reply = await ask(server, "CONFIG", "GET", name)
    return text(named(reply).get(name.encode(), b""))
