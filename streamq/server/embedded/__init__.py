"""The embedded server: a private Valkey on a unix socket, for commands that name no server.

It is a real server with append-only persistence. The first command starts it, later
ones share it, and it runs until :func:`stop` or a shutdown of the machine.

One rule carries the design: the server process itself holds the lock file of its
directory, inherited from the command that started it. So "is one running?" never rests
on a process ID that another process may have taken, nor on a socket left behind by a
crash, and two servers can never write to one directory.
"""

from streamq.server.embedded.control import ensure_running, stop
from streamq.server.embedded.directory import home
from streamq.server.embedded.state import EmbeddedStatus, status, url_of_running

__all__ = ["EmbeddedStatus", "ensure_running", "home", "status", "stop", "url_of_running"]
