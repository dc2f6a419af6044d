"""``streamq consume --processes``: several workers under one command."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
import redis

from streamq.cli.exits import ExitCode
from streamq.wire.keys import PARKED
from tests.cli.support import PATIENCE, Program, read_one_line
from tests.scraping import Scrape, scrape
from tests.servers import RedisServer, free_port

# Half of the jobs wait at a gate, the others do not.
WORKER = """
import asyncio
from streamq import App

app = App()

@app.group("images").handler("work")
async def work(n: int) -> None:
    if n >= 100:
        try:
            reader, _ = await asyncio.open_unix_connection("gate")
            await reader.read()
        except OSError:
            pass  # it is open
"""

IMAGES = {"stream": "jobs", "group": "images"}
WORK = {**IMAGES, "type": "work"}

Start = Callable[..., Program]


@pytest.fixture(autouse=True)
def worker(scratch: Path) -> None:
    (scratch / "worker.py").write_text(WORKER)


class Gate:
    """Handlers wait here until it is opened."""

    def __init__(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.settimeout(PATIENCE)
        self._listener.bind("gate")
        self._listener.listen(1000)
        self._waiting: list[socket.socket] = []

    def wait_for(self, count: int) -> None:
        """Wait until so many handlers wait."""
        self._waiting += (self._listener.accept()[0] for _ in range(count))

    def open(self) -> None:
        """Let everybody through, now and later."""
        for waiting in [self._listener, *self._waiting]:
            waiting.close()


@pytest.fixture
def gate(scratch: Path) -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


def produce(client: redis.Redis, numbers: Sequence[int]) -> None:
    for n in numbers:
        client.xadd("jobs", {"type": "work", "data": f'{{"n": {n}}}'})


def until(url: str, condition: Callable[[Scrape], bool]) -> Scrape:
    """Scrape until what only the server knows has come to pass; no sum may go back."""
    end = time.monotonic() + PATIENCE
    before = 0.0
    while True:
        found = scrape(url)
        done = found("job_success_total", **WORK) or 0.0
        assert done >= before
        before = done
        if condition(found):
            return found
        assert time.monotonic() < end, found.samples


def test_a_process_is_killed_in_the_middle_of_its_jobs(
    start: Start, client: redis.Redis, gate: Gate
) -> None:
    produce(client, range(200))
    port = str(free_port())
    url = f"http://127.0.0.1:{port}/metrics"
    program = start(
        "consume", "--app", "worker:app", "--processes", "2", "--lease", "1",
        "--metrics-port", port,
    )  # fmt: skip
    program.wait_for(f"16 at once in each of 2 processes; metrics: {url}\n")
    until(url, lambda found: found("job_success_total", **WORK) == 100)
    gate.wait_for(1)

    holder = max(client.xinfo_consumers("jobs", "images"), key=lambda row: row["pending"])
    pid = int(holder["name"].split("-")[-2])
    os.kill(pid, signal.SIGSTOP)
    assert scrape(url)("job_success_total", **WORK) == 100  # it is not asked
    os.kill(pid, signal.SIGKILL)
    program.wait_for("was killed by SIGKILL; starting it again in")
    gate.open()
    found = until(url, lambda found: found("job_success_total", **WORK) == 200)

    assert found("job_duration_seconds_count", **WORK) == 200
    assert found("job_failure_total", **WORK) == 0
    assert found("job_dead_letters", **IMAGES) == 0
    assert found("job_queue_length", **IMAGES) == found("job_pending", **IMAGES) == 0
    restarts = [found("streamq_process_restarts_total", process=number) for number in "12"]
    assert sorted(map(str, restarts)) == ["0.0", "1.0"]
    assert client.xlen("jobs") == 0

    program.signal(signal.SIGTERM)
    code, out, err = program.end()
    assert (code, out) == (0, "")
    assert "200 done, 0 retried, 0 dead in" in err.splitlines()[-1]
    assert err.count("Consuming jobs as images") == 1
    assert err.count("Created the group images") == 1
    assert re.search(r"INFO    \[[12]\] Stopping", err)


def test_a_burst_ends_by_itself(start: Start, client: redis.Redis) -> None:
    produce(client, range(50))
    code, out, err = start("consume", "--processes", "3", "--burst", "--metrics-port", "0").end()

    assert code == 0
    assert sorted(re.findall(r'payload \{"n": (\d+)\}', out), key=int) == [
        str(n) for n in range(50)
    ]
    assert "metrics" not in err
    assert err.count("each job is printed and done with") == 1
    assert "50 done, 0 retried, 0 dead in" in err.splitlines()[-1]


def test_the_first_signal_lets_running_jobs_finish(
    start: Start, client: redis.Redis, gate: Gate
) -> None:
    produce(client, range(100, 140))
    program = start("consume", "-a", "worker:app", "-p", "2", "-c", "4", "--metrics-port", "0")
    gate.wait_for(4)
    program.signal(signal.SIGINT)
    program.wait_for("Stopping: waiting")
    gate.open()
    code, _, err = program.end()

    assert code == 0
    (done,) = re.findall(r" (\d+) done, 0 retried, 0 dead", err.splitlines()[-1])
    assert 4 <= int(done) <= 8
    assert client.xlen("jobs") == 40 - int(done)
    assert {row["name"] for row in client.xinfo_consumers("jobs", "images")} <= {PARKED}


def test_the_second_signal_leaves_at_once(start: Start, client: redis.Redis, gate: Gate) -> None:
    produce(client, range(100, 108))
    program = start("consume", "-a", "worker:app", "-p", "2", "--metrics-port", "0")
    gate.wait_for(1)
    program.signal(signal.SIGTERM)
    program.wait_for("Stopping: waiting")
    program.signal(signal.SIGTERM)
    code, _, err = program.end()

    assert code == 128 + signal.SIGTERM
    assert "Leaving at once" in err
    assert client.xpending("jobs", "images")["pending"] > 0


def test_processes_end_in_good_order_without_their_supervisor(
    start: Start, client: redis.Redis, gate: Gate
) -> None:
    produce(client, range(100, 108))
    program = start("consume", "-a", "worker:app", "-p", "2", "--metrics-port", "0")
    gate.wait_for(8)
    program.signal(signal.SIGKILL)
    program.wait_for("Stopping")
    gate.open()
    program.end()  # the end of its output is the end of all who write there

    assert client.xinfo_consumers("jobs", "images") == []
    assert client.xlen("jobs") == 0


@pytest.mark.parametrize(
    ("args", "code", "complaint"),
    [
        (["--max-jobs", "5"], 2, "--max-jobs is for one process: leave out --processes"),
        (["--app", "nothing:app"], 2, "--app: no module named nothing in .*"),
        (["--url", "redis://127.0.0.1:1"], 69, "cannot connect to 127.0.0.1:1: .*"),
        (["--stream", "a-string"], 1, "the key holds another type than a stream: .*"),
    ],
)
def test_a_mistake_is_one_line(
    start: Start, client: redis.Redis, args: Sequence[str], code: int, complaint: str
) -> None:
    client.set("a-string", "no stream")

    found = start("consume", "--processes", "4", "--quiet", *args).end()

    assert (found.code, found.out) == (code, "")
    assert re.fullmatch(f"streamq: {complaint}\n", found.err)


def test_a_port_in_use_is_one_line(start: Start) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = str(other.getsockname()[1])
        found = start("consume", "--processes", "2", "-q", "--metrics-port", port).end()

    assert found.code == 2
    assert re.fullmatch(f"streamq: cannot serve metrics at .* port {port} is in use.*\n", found.err)


def test_nobody_reads_the_output(server: RedisServer, client: redis.Redis) -> None:
    produce(client, range(500))

    code, complaints = read_one_line(
        "consume", "-p", "2", "-q", "--metrics-port", "0", "--url", server.unix_url
    )

    assert (code, complaints) == (ExitCode.BROKEN_PIPE, "")


def test_a_program_does_not_find_the_supervisor_s_variables(
    start: Start, client: redis.Redis
) -> None:
    produce(client, [1])
    _, out, _ = start("consume", "-p", "2", "--burst", "--exec", "env").end()

    assert "STREAMQ_URL=" in out
    assert not re.search("STREAMQ_(LIFELINE|SHEET|PROCESS)=", out)
