"""Programs must not outlive the worker that runs them, even if it is killed with SIGKILL.

Such a worker can no longer end anything. So a shell keeps watch beside it: it reads which
programs run, out of a pipe that only the worker holds open, and when the pipe ends, as it
does with the worker however that ends, it ends those that are left.
"""

from __future__ import annotations

import os

TERM_GRACE = 3
"""Seconds between SIGTERM and SIGKILL; less than what a cancelled handler may take."""

# Whoever stops the worker's whole process group or service stops this shell later: it has
# to outlive the worker. A line without its end, `read` does not take.
_WATCH = f"""
trap '' HUP INT TERM
groups=' '
while read -r sign group; do
    case $sign in
    +) groups="$groups$group " ;;
    -) groups="${{groups%% $group *}} ${{groups#* $group }}" ;;
    esac
done
set -- $groups
[ $# -gt 0 ] || exit 0
for group; do kill -s TERM -- "-$group"; done
sleep {TERM_GRACE}
for group; do kill -s KILL -- "-$group"; done
"""


class Watchdog:
    """Ends process groups once this process has ended, in whatever way.

    The shell is started with the first group, and ends with this process. Without a
    ``/bin/sh``, or once it is killed, nothing keeps watch.
    """

    def __init__(self) -> None:
        self._pipe: int | None = None

    def add(self, group: int) -> None:
        """Watch this process group."""
        self._write(b"+ %d\n" % group)

    def remove(self, group: int) -> None:
        """Watch it no longer: it has ended."""
        self._write(b"- %d\n" % group)

    def _write(self, line: bytes) -> None:
        try:
            if self._pipe is None:
                self._pipe = _start()
            os.write(self._pipe, line)
        except OSError:
            pass  # programs are run all the same


def _start() -> int:
    """Start the shell, and return the end of the pipe that it reads from."""
    theirs, ours = os.pipe()
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.posix_spawn(
            "/bin/sh", ["sh", "-c", _WATCH], {"PATH": os.defpath},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, theirs, 0),
                (os.POSIX_SPAWN_DUP2, null, 1),
                (os.POSIX_SPAWN_DUP2, null, 2),
            ],
            setpgroup=0,  # Ctrl-C is for the worker
        )  # fmt: skip
    except OSError:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
        os.close(null)
    return ours
