"""How a worker logs, to standard error."""

from __future__ import annotations

import logging
import sys
from enum import StrEnum

from streamq.cli.output import is_terminal

_log = logging.getLogger("streamq")


class LogLevel(StrEnum):
    """What is logged to standard error."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def set_up_logging(level: LogLevel, process: int | None = None) -> None:
    """Log to standard error, unless the App has set up logging itself.

    Args:
        process: which of several processes this is, for every line to say.
    """
    logging.raiseExceptions = False  # a log that nothing reads is no reason to fail
    root = logging.getLogger()
    if not root.handlers:
        time_format = "%H:%M:%S" if is_terminal(sys.stderr) else "%Y-%m-%dT%H:%M:%S%z"
        output = logging.StreamHandler(sys.stderr)
        who = "" if process is None else f"[{process}] "
        output.setFormatter(
            logging.Formatter(f"%(asctime)s %(levelname)-7s {who}%(message)s", time_format)
        )
        root.addHandler(output)
        root.setLevel(max(getattr(logging, level.name), logging.INFO))
    _log.setLevel(level.name)
