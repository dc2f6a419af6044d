"""Commands in the server's protocol (RESP)."""

from __future__ import annotations

from typing import Any, cast

import hiredis

Arg = str | bytes | int | float


def pack(args: tuple[Arg, ...]) -> bytes:
    """One command, ready to be sent."""
    # hiredis declares a tuple of one, and takes one of any length.
    return cast("bytes", hiredis.pack_command(cast("Any", args)))
