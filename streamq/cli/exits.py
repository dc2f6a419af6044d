"""Exit codes, and the errors that a command itself raises."""

from __future__ import annotations

from enum import IntEnum

from streamq.errors import (
    AuthenticationFailed,
    ConfigError,
    DataTooNew,
    EmbeddedServerError,
    PayloadError,
    ResultTimeout,
    ServerUnavailable,
    StreamqError,
    TLSFailed,
)


class ExitCode(IntEnum):
    """What a command's exit code means; ``streamq --help`` lists them."""

    OK = 0
    REFUSED = 1
    """Refused by the server or by the user, or not found."""
    USAGE = 2
    """Wrong usage or bad input."""
    UNAVAILABLE = 69
    """The server cannot be reached or started (``EX_UNAVAILABLE``)."""
    FAULT = 70
    """An error inside streamq (``EX_SOFTWARE``)."""
    OUTPUT = 74
    """The output cannot be written (``EX_IOERR``)."""
    AUTHENTICATION = 77
    """The server refused the user name, the password or the permission (``EX_NOPERM``)."""
    TIMEOUT = 124
    """What was waited for did not happen in time, as ``timeout(1)`` says it."""
    INTERRUPTED = 130
    """Ctrl-C (128 + SIGINT)."""
    BROKEN_PIPE = 141
    """Whoever read the output has gone (128 + SIGPIPE)."""
    TERMINATED = 143
    """Ended by SIGTERM (128 + SIGTERM)."""


class CommandError(StreamqError):
    """What a command itself has to refuse; shown as one line.

    Args:
        message: what happened, to what, and what to do next.
        code: the command's exit code.
    """

    def __init__(self, message: str, code: ExitCode = ExitCode.REFUSED) -> None:
        super().__init__(message)
        self.code = code


def exit_code(error: StreamqError) -> ExitCode:
    """The exit code of a command that ends with ``error``."""
    match error:
        case CommandError():
            return error.code
        case AuthenticationFailed():
            return ExitCode.AUTHENTICATION
        case ServerUnavailable() | TLSFailed() | EmbeddedServerError():
            return ExitCode.UNAVAILABLE
        case ResultTimeout():
            return ExitCode.TIMEOUT
        case ConfigError() | PayloadError() | DataTooNew():
            return ExitCode.USAGE
        case _:
            return ExitCode.REFUSED
