"""The command line: arguments in, library calls, tables out; a module a command family."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(args: Sequence[str] | None = None) -> None:
    """Run one command and leave the process with its exit code.

    Args:
        args: the arguments; those of the process by default.
    """
    try:
        # Imported here, because that takes long enough for a Ctrl-C.
        from streamq.cli.commands import run

        code = run(sys.argv[1:] if args is None else args)
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)
