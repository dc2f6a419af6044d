"""How a worker logs, to standard error."""

from __future__ import annotations

import logging
import os
import sys
from enum import StrEnum

from streamq.cli.output import is_terminal
from streamq.errors import ConfigError
from streamq.text import printable

FORMAT = "STREAMQ_LOG_FORMAT"

_log = logging.getLogger("streamq")


class LogLevel(StrEnum):
    """What is logged to standard error."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How lines of the log look."""

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"


def set_up_logging(
    level: LogLevel, process: int | None = None, form: LogFormat | None = None
) -> None:
    """Log to standard error, unless the App has set up logging itself.

    Args:
        process: which of several processes this is, for every line to say.
        form: how lines look; by default as the environment says, else for who reads them.

    Raises:
        ConfigError: the environment names no such format.
    """
    logging.raiseExceptions = False  # a log that nothing reads is no reason to fail
    form = form or _format_of_environment()
    root = logging.getLogger()
    if not root.handlers:
        output = logging.StreamHandler(sys.stderr)
        output.setFormatter(_formatter(form, process))
        root.addHandler(output)
        root.setLevel(max(getattr(logging, level.name), logging.INFO))
    _log.setLevel(level.name)


def _format_of_environment() -> LogFormat:
    given = os.environ.get(FORMAT) or LogFormat.AUTO
    try:
        return LogFormat(given)
    except ValueError:
        known = ", ".join(LogFormat)
        raise ConfigError(f"{FORMAT} is {printable(given, 60)!r}: give one of {known}") from None


def _formatter(form: LogFormat, process: int | None) -> logging.Formatter:
    from streamq.observe.job_logs import JsonLogFormatter, TextLogFormatter

    terminal = is_terminal(sys.stderr)
    if form is LogFormat.JSON or (form is LogFormat.AUTO and not terminal):
        return JsonLogFormatter() if process is None else JsonLogFormatter(process=process)
    who = "" if process is None else f"[{process}] "
    return TextLogFormatter("%H:%M:%S" if terminal else "%Y-%m-%dT%H:%M:%S%z", who)
