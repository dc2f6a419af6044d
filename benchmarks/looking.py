"""What it costs to look: `streamq top` at one picture a second, on a server with 100 groups.

Ten streams of ten groups; each group has jobs queued, pending with two consumers, and dead.
`streamq top` runs at a terminal of 80 by 24, as a person would have it. Its cost to the server is
the CPU time that the server itself counts (`INFO cpu`), less what it takes while nobody looks, and
that of the client is what the system counts for the process, after its start.
"""

import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from harness.measure import Measurement
from harness.server import BenchmarkError, Server, client_cores, pinned
from harness.session import Session, parser, run
from harness.systems import SYSTEMS, Description, System

METRICS = {
    "server": "CPU time of the server, of one core",
    "client": "CPU time of `streamq top`, of one core",
}

STREAMS, GROUPS = 10, 10
JOBS = 20_000
SECONDS = 10.0
STARTING = 3.0  # what it takes until the first picture is there, and some

KEYS = {
    "all groups": "",
    "one group": "\r",
    "its dead letters": "d",
}
"""What is pressed to get there."""


def fill(server: Server, jobs: int) -> None:
    each = jobs // STREAMS
    for number in range(STREAMS):
        stream = f"stream-{number}"
        pipe = server.client.pipeline(transaction=False)
        for job in range(each):
            pipe.xadd(stream, {"type": "resize", "data": f'{{"n": {job}, "pad": "{"x" * 80}"}}'})
        for group in range(GROUPS):
            name = f"group-{group}"
            pipe.xgroup_create(stream, name, "0")
            for consumer in ("web-1", "web-2"):
                pipe.xreadgroup(name, consumer, {stream: ">"}, count=each // 10)
            letter: Any = {"type": "resize", "data": "{}", "error": "ConnectionError: refused"}
            for _ in range(each // 100):
                pipe.xadd(f"{{{stream}}}:group:{name}:dlq", letter)
        pipe.execute()


def cpu(server: Server) -> float:
    """Seconds of CPU that the server has had."""
    found = server.info("cpu")
    return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])


def share(server: Server, seconds: float) -> float:
    """Percent of a core that the server takes for so long."""
    before, begun = cpu(server), time.perf_counter()
    time.sleep(seconds)
    return 100 * (cpu(server) - before) / (time.perf_counter() - begun)


class Looking:
    """`streamq top` at a terminal of its own, in a view."""

    def __init__(self, server: Server, keys: str) -> None:
        self._terminal, theirs = pty.openpty()
        command = [sys.executable, "-m", "streamq", "top", "--url", server.url]
        self._process = subprocess.Popen(
            pinned(command, client_cores()), stdin=theirs, stdout=theirs, stderr=theirs,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
        )  # fmt: skip
        os.close(theirs)
        self._reader = threading.Thread(target=self._drain, daemon=True)
        self._reader.start()
        time.sleep(STARTING)
        os.write(self._terminal, keys.encode())
        time.sleep(0.5)
        if self._process.poll() is not None:
            raise BenchmarkError("streamq top has ended")

    def cpu(self) -> float:
        """Seconds of CPU that it has had."""
        with open(f"/proc/{self._process.pid}/stat") as file:
            fields = file.read().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._reader.join()
        os.close(self._terminal)

    def _drain(self) -> None:
        try:
            while os.read(self._terminal, 65536):
                pass
        except OSError:
            pass  # so a terminal ends on Linux


def measure(session: Session, system: System, description: Description) -> Iterator[Measurement]:
    jobs = session.jobs(JOBS)
    seconds = SECONDS / 5 if session.quick else SECONDS
    with session.server() as server:
        fill(server, jobs)
        idle = share(server, seconds)
        yield Measurement("nobody looks", "server", idle, "% of a core", jobs)
        for name, keys in KEYS.items():
            looking = Looking(server, keys)
            try:
                before = looking.cpu()
                taken = share(server, seconds)
                client = 100 * (looking.cpu() - before) / seconds
            finally:
                looking.stop()
            yield Measurement(name, "server", taken - idle, "% of a core", jobs)
            yield Measurement(name, "client", client, "% of a core", jobs)


def main(words: Sequence[str] | None = None) -> int:
    arguments = parser(
        "What `streamq top` costs the server and itself, at one picture a second with 100 groups.",
        "python benchmarks/looking.py --rounds 5",
        systems=None,
        rounds=3,
    ).parse_args(words)
    if not os.path.exists("/proc/self/stat"):
        print("error: this needs /proc", file=sys.stderr)
        return 2
    return run(
        arguments, "looking", METRICS, measure, seconds=70, chosen=[SYSTEMS["streamq"]],
        show_settings=False,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
