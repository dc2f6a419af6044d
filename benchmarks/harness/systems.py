"""The systems under test: which there are, and how each one's adapter is run.

An adapter runs in a process of its own, in its peer's environment, and speaks to the harness
in JSON lines on standard output. `peers/adapter.py` describes the conversation.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from harness.server import BenchmarkError, Server, client_cores, pinned

BENCHMARKS = Path(__file__).parent.parent
ENVIRONMENTS = BENCHMARKS / ".envs"

RUN_TIMEOUT = 120.0  # seconds for any one command of an adapter
DRAIN_TIMEOUT = 20.0  # seconds from the last handler call until nothing is left
STOP_TIMEOUT = 5.0  # seconds for a killed process to be gone
HEAD_START_NS = 1_500_000_000  # for processes that enqueue in turns to connect


@dataclass(frozen=True)
class System:
    """A row of the tables: an adapter with options.

    `own` adapters run in this interpreter; the others in `.envs/<adapter>`. A system that
    `only_processes` enqueues just as another one does, which is measured already. `limit` names
    the bare loop that does for each job what this system does.
    """

    name: str
    adapter: str
    own: bool = False
    only_processes: bool = False
    limit: str = "bare"
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def command(self) -> list[str]:
        environment = ENVIRONMENTS / self.adapter
        if self.adapter == "bullmq":
            return ["node", str(BENCHMARKS / "peers/bullmq/adapter.cjs")]
        python = sys.executable if self.own else str(environment / "bin/python")
        return [python, "-m", "peers.run", self.adapter]

    @property
    def installed(self) -> bool:
        return self.own or (ENVIRONMENTS / self.adapter / ".installed").exists()


SYSTEMS: dict[str, System] = {
    system.name: system
    for system in [
        System("bare", "bare", own=True),
        System(
            "bare+status",
            "bare",
            own=True,
            only_processes=True,
            limit="bare+status",
            options={"status": "1"},
        ),
        System("streamq", "streamq", own=True, limit="bare+status"),
        System(
            "streamq-ttl0",
            "streamq",
            own=True,
            only_processes=True,
            options={"result_ttl": "0"},
        ),
        System(
            "streamq-batch",
            "streamq",
            own=True,
            only_processes=True,
            limit="bare+status",
            options={"batch": "200"},
        ),
        System(
            "streamq-batch-ttl0",
            "streamq",
            own=True,
            only_processes=True,
            options={"batch": "200", "result_ttl": "0"},
        ),
        System("bullmq", "bullmq"),
        System("streaq", "streaq"),
        System("saq", "saq"),
        System("taskiq", "taskiq"),
        System("docket", "docket"),
        System("arq", "arq"),
        System("dramatiq", "dramatiq"),
        System("celery", "celery"),
        System("rq", "rq"),
    ]
}


@dataclass(frozen=True)
class Description:
    """What an adapter says of itself."""

    package: str
    version: str
    settings: str
    jobs: int
    bulk_jobs: int
    remaining: list[list[str]]


@dataclass(frozen=True)
class Processed:
    """A drained backlog.

    `seconds` runs from the first line of the first job's handler until the server holds no job
    that is queued or unacknowledged.
    """

    jobs: int
    seconds: float
    peak_rss: int
    latencies: list[float]


def choose(names: list[str]) -> list[System]:
    """The systems of these names; an error names what is unknown or not installed."""
    for name in names:
        if name not in SYSTEMS:
            raise BenchmarkError(f"no system {name!r}: there are {', '.join(SYSTEMS)}")
        if not SYSTEMS[name].installed:
            raise BenchmarkError(f"{name} is not installed: python benchmarks/peers/install.py")
    return [SYSTEMS[name] for name in names]


def describe(system: System) -> Description:
    with _adapter(system, "describe") as process:
        event = process.expect("described")
    return Description(
        package=event["package"],
        version=event["version"],
        settings=event["settings"],
        jobs=event["jobs"],
        bulk_jobs=event["bulk_jobs"],
        remaining=event["remaining"],
    )


def enqueue(system: System, server: Server, jobs: int, payload: int = 100) -> float:
    """Enqueue with the system's bulk interface; returns the seconds that it took."""
    arguments = ["--url", server.url, "--jobs", str(jobs), "--payload", str(payload)]
    with _adapter(system, "enqueue", *arguments) as process:
        return float(process.expect("enqueued")["seconds"])


def drip(
    system: System, server: Server, jobs: int, seconds: float, interval: float, first: int = 0
) -> tuple[float, int]:
    """Enqueue one by one, every `interval` seconds, or at once after each answer when it is 0.

    Ends after `jobs` or `seconds`, whichever comes first; returns jobs a second, and how many.
    The jobs are numbered from `first`.
    """
    arguments = ["--url", server.url, "--jobs", str(jobs), "--first", str(first)]
    arguments += ["--seconds", str(seconds), "--interval", str(interval)]
    with _adapter(system, "drip", *arguments) as process:
        event = process.expect("dripped")
    return event["jobs"] / event["seconds"], event["jobs"]


def drip_in_turns(
    chosen: Sequence[System], server: Server, jobs: int, interval: float, turn: int, first: int
) -> None:
    """Enqueue `jobs` one by one to each of several systems, `turn` to one, then to the next.

    So whatever the machine does meanwhile, it does to all of them.
    """
    start = time.monotonic_ns() + HEAD_START_NS
    limit = HEAD_START_NS / 1e9 + 2 * len(chosen) * (jobs + turn) * interval
    arguments = ["--url", server.url, "--jobs", str(jobs), "--first", str(first)]
    arguments += ["--seconds", str(limit), "--interval", str(interval)]
    with ExitStack() as stack:
        processes = []
        for mine, system in enumerate(chosen):
            turns = f"{start},{turn},{mine},{len(chosen)}"
            adapter = _adapter(system, "drip", *arguments, "--turns", turns)
            processes.append(stack.enter_context(adapter))
        for process in processes:
            process.expect("dripped")


@contextmanager
def worker(
    system: System,
    server: Server,
    jobs: int,
    *,
    each: int = 1,
    latency: bool = False,
    spread: bool = False,
) -> Iterator["Worker"]:
    """One worker process that expects this many jobs, `each` times every one.

    `latency` has it report how long each job took to arrive. `spread` lets it use all cores.
    """
    arguments = ["--url", server.url, "--jobs", str(jobs), "--each", str(each)]
    if latency:
        arguments.append("--latency")
    with _adapter(system, "work", *arguments, spread=spread) as process:
        yield Worker(process, server, jobs, each)


class Worker:
    def __init__(self, process: "_Adapter", server: Server, jobs: int, each: int) -> None:
        self._process = process
        self._server = server
        self._jobs = jobs
        self._each = each

    def wait_until_started(self) -> None:
        """Until the first handler has been called."""
        self._process.expect("started")

    def wait_until_drained(self, remaining: list[list[str]], rest: int = 0) -> Processed:
        """Until every job was handled as often as expected and the server holds none of them.

        `rest` is what `remaining` answers then: more than 0 if other jobs lie there.
        """
        event = self._process.expect("handled")
        drained = wait_until_left(self._server, remaining, rest, self._process.name)
        if event["exact"] != self._jobs:
            raise BenchmarkError(
                f"{self._process.name} made {event['calls']} handler calls, but handled only "
                f"{event['exact']} of {self._jobs} jobs exactly {self._each} times"
            )
        return Processed(
            jobs=self._jobs,
            seconds=(drained - event["first"]) / 1e9,
            peak_rss=event["peak_rss"],
            latencies=event["latencies"],
        )

    def count(self) -> int:
        """How many handler calls there have been."""
        self._process.ask_for_report()
        return int(self._process.expect("handled")["calls"])


def wait_until_left(server: Server, remaining: list[list[str]], rest: int, name: str) -> int:
    """Until `remaining` answers `rest`; returns the time of that, in ns of the monotonic clock."""
    deadline = time.monotonic() + DRAIN_TIMEOUT
    while (left := server.remaining(remaining)) > rest:
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{name} left {left - rest} jobs unsettled")
        time.sleep(0.001)
    return time.monotonic_ns()


class _Adapter:
    """A running adapter process and the events that it prints."""

    def __init__(self, name: str, process: "subprocess.Popen[str]", errors: IO[str]) -> None:
        self.name = name
        self._process = process
        self._errors = errors
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def expect(self, event: str) -> dict[str, Any]:
        """The next event of this name. Other output of the system is passed over."""
        deadline = time.monotonic() + RUN_TIMEOUT
        while True:
            try:
                line = self._lines.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise BenchmarkError(
                    f"{self.name} said nothing of {event!r} within {RUN_TIMEOUT:.0f} s. "
                    f"Its last words: {self._last_words()}"
                ) from None
            if line is None:
                raise BenchmarkError(
                    f"{self.name} ended without {event!r}. Its last words: {self._last_words()}"
                )
            if line.startswith('{"event"'):
                message: dict[str, Any] = json.loads(line)
                if message["event"] == event:
                    return message

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().split("\n")
        return " / ".join(line.strip() for line in lines[-6:] if line.strip()) or "(none)"

    def ask_for_report(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Kill the whole process group: what it had to say has been said."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(STOP_TIMEOUT)


@contextmanager
def _adapter(
    system: System, verb: str, *arguments: str, spread: bool = False
) -> Iterator[_Adapter]:
    command = [*system.command, verb, *arguments]
    for key, value in system.options.items():
        command += ["--set", f"{key}={value}"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(BENCHMARKS),
        "NODE_PATH": str(ENVIRONMENTS / system.adapter / "node_modules"),
    }
    with tempfile.TemporaryFile("w+") as errors:
        process = _Adapter(
            system.name,
            subprocess.Popen(
                command if spread else pinned(command, client_cores()),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=BENCHMARKS,
                env=environment,
                start_new_session=True,
            ),
            errors,
        )
        try:
            yield process
        finally:
            process.stop()
