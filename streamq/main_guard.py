"""A script that starts a worker must not do so again in each process of the worker's pool."""

from __future__ import annotations

import sys

from streamq.errors import NoMainGuard

_IN_POOL = "__mp_main__"
"""What a script is called while a process of a pool imports it."""


def check_main_guard() -> None:
    """Refuse to go on where a process of a pool runs the whole script again.

    Raises:
        NoMainGuard: it does.
    """
    frame = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == _IN_POOL:
            raise NoMainGuard
        frame = frame.f_back  # type: ignore[assignment]  # None ends the loop
