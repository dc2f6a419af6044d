"""``streamq consume``, in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import redis

from tests.cli.support import PATIENCE, Program, Result, has_ended, read_one_line
from tests.servers import RedisServer, free_port

Run = Callable[..., Result]
Start = Callable[..., Program]

WORKER = """
import asyncio, os, sys, threading
from streamq import App, Backoff, Job

app = App()

@app.group("images").handler("greet")
async def greet(name: str) -> str:
    sys.stdout.write(f"hello {name}\\n")  # in one piece: a thread prints beside us
    sys.stdout.flush()
    return name

@app.group("audit").handler("greet")
def audit(job: Job) -> None:
    sys.stdout.write(f"audited {job.data['name']}\\n")
    sys.stdout.flush()

@app.group("images").handler("fail", retries=3, backoff=Backoff(base=0, cap=0))
async def fail() -> None:
    raise ValueError("a \\x1b[31mred\\x1b[0m error")

@app.group("images").handler("wait")
async def wait(until: str) -> None:
    print("waiting", flush=True)
    while not os.path.exists(until):
        await asyncio.sleep(0.01)

@app.group("images").handler("hang")
def hang() -> None:
    print("hanging", flush=True)
    threading.Event().wait()

@app.group("images").handler("block")
async def block() -> None:
    print("blocking", flush=True)
    threading.Event().wait()
"""


@pytest.fixture
def consume(start: Start) -> Start:
    """Start a worker without metrics."""
    return lambda *args, **options: start("consume", "--metrics-port", "0", *args, **options)


@pytest.fixture
def worker(consume: Start, scratch: Path) -> Start:
    """Start a worker with the App above, for its group ``images``."""
    (scratch / "worker.py").write_text(WORKER)
    return lambda *args: consume("--app", "worker:app", "--group", "images", *args)


def add(client: redis.Redis, type: str = "", stream: str = "jobs", **data: Any) -> str:
    """Write a job."""
    return cast("str", client.xadd(stream, {"type": type, "data": json.dumps(data)}))


def dead(client: redis.Redis, group: str = "default") -> list[dict[str, str]]:
    """The dead letters of a group."""
    entries: Any = client.xrange(f"{{jobs}}:group:{group}:dlq")
    return [fields for _, fields in entries]


def record(client: redis.Redis, job_id: str, group: str = "default") -> dict[str, str]:
    """The status record of a job."""
    fields: Any = client.hgetall(f"{{jobs}}:group:{group}:job:{job_id}")
    return dict(fields)


# -- the printing handler -----------------------------------------------------


def test_without_an_app_each_job_is_printed(consume: Start, client: redis.Redis) -> None:
    first = add(client, "resize", file="image_1.png", text="\x1b[31m\x85")
    foreign: Any = {"file": "a b", "action": "process_image"}
    second = cast("str", client.xadd("jobs", foreign))

    code, out, err = consume("--burst").end()

    assert code == 0
    assert out.splitlines() == [
        f'Processing job: {first} with payload {{"file": "image_1.png", '
        '"text": "\\u001b[31m\\u0085"}',
        f'Processing job: {second} with payload {{"file":"a b","action":"process_image"}}',
    ]
    assert " Consuming jobs as default from " in err
    assert "each job is printed and done with (it counts as succeeded)" in err
    assert re.search(r" 2 done, 0 retried, 0 dead in [\d.]+ m?s$", err.strip())


def test_what_is_no_job_becomes_a_dead_letter(consume: Start, client: redis.Redis) -> None:
    client.xadd("jobs", {"data": "no \x1bjson"})

    code, out, err = consume("--burst").end()

    assert (code, out) == (0, "")
    assert [letter["reason"] for letter in dead(client)] == ["invalid entry"]
    assert " moved to DLQ: invalid entry: the data is not JSON" in err
    assert "\x1b" not in err


def test_a_reader_that_has_gone_costs_no_job(
    consume: Start, client: redis.Redis, server: RedisServer
) -> None:
    pipeline = client.pipeline()
    for _ in range(5000):
        pipeline.xadd("jobs", {"data": "{}"})
    pipeline.execute()

    code, err = read_one_line("consume", "--metrics-port", "0", "-q", "--retries", "0")

    assert (code, err) == (141, "")
    assert dead(client) == []
    left = client.xlen("jobs")
    assert 0 < left < 5000
    assert len(consume("--burst", "-q").end().out.splitlines()) == left


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("command", [[], ["--exec", "echo"]], ids=["printed", "program"])
@pytest.mark.usefixtures("start")
def test_output_that_cannot_be_written_costs_no_job(
    client: redis.Redis, command: list[str]
) -> None:
    add(client)

    with open("/dev/full", "wb") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "streamq", "consume", "--metrics-port", "0", *command],
            stdout=full, stderr=subprocess.PIPE, timeout=PATIENCE,
        )  # fmt: skip

    assert ran.returncode == 74
    told = ran.stderr.decode().splitlines()[-1]
    assert told == "streamq: cannot write the output: No space left on device"
    assert dead(client) == []
    assert client.xlen("jobs") == (0 if command else 1)


# -- an App -------------------------------------------------------------------


def test_the_handlers_of_an_app(consume: Start, client: redis.Redis, scratch: Path) -> None:
    (scratch / "worker.py").write_text(WORKER)
    job_id = add(client, "greet", name="you")

    code, out, err = consume("--burst", env={"STREAMQ_APP": "worker:app"}).end()

    assert code == 0
    assert sorted(out.splitlines()) == ["audited you", "hello you"]
    assert " Consuming jobs as images, jobs as audit from " in err
    assert record(client, job_id, "images")["result"] == '"you"'
    assert client.xlen("jobs") == 0


def test_retries_and_the_dead_letter_are_logged(worker: Start, client: redis.Redis) -> None:
    job_id = add(client, "fail")

    err = worker("--burst").end().err

    said = [line.split(" ", 2)[2].strip() for line in err.splitlines() if job_id in line]
    why = "ValueError: a \\x1b[31mred\\x1b[0m error"
    assert said == [
        *(f"Retrying job {job_id} in 0.0 s (attempt {attempt}): {why}" for attempt in (1, 2, 3)),
        f"Job {job_id} moved to DLQ: retries exhausted: {why}",
    ]
    assert "0 done, 3 retried, 1 dead in " in err


def test_debug_logs_where_a_handler_failed(worker: Start, client: redis.Redis) -> None:
    add(client, "fail")

    err = worker("--burst", "--log-level", "debug").end().err

    assert 'worker.py", line 20, in fail\n' in err
    assert "\x1b" not in err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--app", "worker:app", "--exec", "true"], "give --app or --exec, not both"),
        (["--app", "worker:app", "--retries", "1"], "--retries is not for an App"),
        (["--app", "worker:app", "--timeout", "1"], "--timeout is not for an App"),
        (["--app", "worker:app", "--group", "other"], "no handler for the group 'other'"),
        (["--app", "worker:app", "--stream", "other"], "no handler for the stream 'other'"),
        (["--app", "nothing:app"], "no module named nothing"),
        (["--exec", "no-such-program {file}"], "no program 'no-such-program'"),
        (["--group", "a b"], "'a b' is not a valid group name"),
        (["--stream", "a\nb"], "is not a valid stream name"),
        (["--timeout", "0"], "streamq: --timeout 0: give more than zero"),
        (["--metrics-host", "nowhere.invalid", "--metrics-port", "1"], "cannot serve metrics at"),
    ],
)
def test_what_cannot_work_is_refused(
    streamq: Run, scratch: Path, args: list[str], message: str
) -> None:
    (scratch / "worker.py").write_text(WORKER)
    sys.modules.pop("worker", None)

    code, out, err = streamq("consume", *args)

    assert (code, out) == (2, "")
    assert err.startswith("streamq: ")
    assert err.count("\n") == 1
    assert message in err


# -- a program ----------------------------------------------------------------


def test_a_program_for_each_job(consume: Start, client: redis.Redis, scratch: Path) -> None:
    (scratch / "program").write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys\n"
        "job = json.load(sys.stdin)\n"
        "print(json.dumps([sys.argv[1:], job['data'], os.environ['STREAMQ_JOB_ID']]))\n"
    )
    (scratch / "program").chmod(0o755)
    job_id = add(client, "resize", file="a b.png", width=64)

    code, out, _ = consume("--burst", "--exec", "./program {file} {width}").end()

    expected = [["a b.png", "64"], {"file": "a b.png", "width": 64}, job_id]
    assert code == 0
    assert json.loads(out) == expected
    assert json.loads(record(client, job_id)["result"]) == expected


def test_a_program_that_fails(consume: Start, client: redis.Redis) -> None:
    add(client, file="-x")
    add(client, file="x")
    add(client)

    command = "sh -c 'echo no $0 >&2; exit 3' {file}"
    err = consume("--burst", "--retries", "0", "--exec", command).end().err

    assert sorted((letter["reason"], letter["error"]) for letter in dead(client)) == [
        ("invalid arguments", "file begins with '-' and could be taken for an option: -x; "
         "put -- before it in the command"),
        ("invalid arguments", "file is missing"),
        ("retries exhausted", "exit code 3: no x"),
    ]  # fmt: skip
    assert "0 done, 0 retried, 3 dead in " in err


def test_a_program_that_takes_too_long(consume: Start, client: redis.Redis) -> None:
    add(client)

    consume("--burst", "--retries", "0", "--timeout", "0.1", "--exec", "sleep 600").end()

    assert [letter["error"] for letter in dead(client)] == ["ran longer than its timeout of 0.1 s"]


# -- what and how much --------------------------------------------------------


def test_several_streams_and_groups(consume: Start, client: redis.Redis) -> None:
    add(client, stream="a")
    add(client, stream="b")

    out = consume("--burst", "-s", "a", "-s", "b", "-g", "x", "-g", "y").end().out

    assert len(out.splitlines()) == 4
    assert {client.xlen("a"), client.xlen("b")} == {0}


def test_a_new_group_may_start_at_the_end(consume: Start, client: redis.Redis) -> None:
    add(client)

    assert consume("--burst", "--from", "$").end().out == ""


def test_so_many_jobs_and_no_more(consume: Start, client: redis.Redis) -> None:
    for _ in range(3):
        add(client)

    assert len(consume("--max-jobs", "2").end().out.splitlines()) == 2
    assert client.xlen("jobs") == 1


def test_no_trace_is_left_if_so_wanted(consume: Start, client: redis.Redis) -> None:
    add(client)

    assert consume("--burst", "--result-ttl", "0", "--quiet").end().err == ""
    assert client.keys("*") == ["jobs"]


def test_dangerous_settings_of_the_server_are_told(
    consume: Start, make_server: Callable[..., RedisServer]
) -> None:
    server = make_server("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")

    err = consume("--burst", "--quiet", "--url", server.unix_url).end().err

    assert " WARNING maxmemory-policy is allkeys-lru" in err


# -- metrics ------------------------------------------------------------------


def test_metrics_are_served(start: Start, client: redis.Redis) -> None:
    port = free_port()
    add(client)

    program = start("consume", "--metrics-port", str(port))
    program.wait_for(f"metrics: http://127.0.0.1:{port}/metrics")
    program.wait_for("Processing job")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as reply:
        assert b"job_success_total" in reply.read()
    program.signal(signal.SIGINT)
    assert program.end().code == 0


def test_a_port_in_use_is_refused(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = start("consume", "--burst", "--metrics-port", str(port)).end()

    assert code == 2
    assert f": port {port} is in use; give another port (--metrics-port" in err


def test_without_a_port_the_next_free_one_is_taken(start: Start) -> None:
    try:
        taken = socket.create_server(("127.0.0.1", 8000))
    except OSError:
        taken = None  # somebody else has it, and may let it go at any moment
    with taken or contextlib.nullcontext():
        err = start("consume", "--burst").end().err

    found = re.search(r"metrics: http://127.0.0.1:(\d+)/metrics", err)
    assert found is not None
    assert (8001 if taken else 8000) <= int(found[1]) < 8100


# -- stopping -----------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_running_jobs_finish(
    worker: Start, client: redis.Redis, scratch: Path, number: signal.Signals
) -> None:
    add(client, "wait", until="done")
    program = worker()
    program.wait_for("waiting")

    program.signal(number)
    program.wait_for("Stopping: waiting up to 30 s for 1 running job; a second signal leaves")
    (scratch / "done").touch()

    code, _, err = program.end()
    assert code == 0
    assert " 1 done, 0 retried, 0 dead in " in err
    assert client.xlen("jobs") == 0


def test_after_the_grace_period_jobs_are_given_back(worker: Start, client: redis.Redis) -> None:
    job_id = add(client, "wait", until="never")
    program = worker("--grace", "0")
    program.wait_for("waiting")

    program.signal(signal.SIGINT)

    code, _, err = program.end()
    assert code == 0
    assert " 0 done, 0 retried, 0 dead, 1 given back in " in err
    ((entry, consumer, _, deliveries),) = pending(client)
    assert (entry, consumer, deliveries) == (job_id, "~retry", 0)


def test_a_second_signal_leaves_at_once(consume: Start, client: redis.Redis) -> None:
    job_id = add(client)
    program = consume("--exec", "sh -c 'echo pid $$; sleep 600'")
    program.wait_for("pid ")

    program.signal(signal.SIGINT)
    program.wait_for("Stopping: ")
    program.signal(signal.SIGINT)

    code, out, err = program.end()
    assert code == 130
    assert " Leaving at once: another worker reclaims 1 running job in 30 s" in err
    assert pending(client)[0][0] == job_id
    while not has_ended(int(out.split()[1])):
        time.sleep(0.01)


def test_a_handler_that_hangs_in_a_thread_is_left_behind(
    worker: Start, client: redis.Redis
) -> None:
    job_id = add(client, "hang")
    program = worker("--grace", "0")
    program.wait_for("hanging")

    program.signal(signal.SIGINT)

    code, _, err = program.end()
    assert code == 0
    assert err.endswith(" WARNING A handler still runs in a thread: leaving without it\n")
    assert pending(client)[0][:2] == (job_id, "~retry")


def test_two_signals_end_even_a_handler_that_blocks_the_loop(
    worker: Start, client: redis.Redis
) -> None:
    add(client, "block")
    program = worker()
    program.wait_for("blocking")

    # The first makes no sound: whoever could answer it is blocked.
    program.signal(signal.SIGTERM)
    program.signal(signal.SIGINT)

    assert program.end().code in (128 + signal.SIGINT, 128 + signal.SIGTERM)


def pending(client: redis.Redis) -> list[tuple[str, str, int, int]]:
    """The group's pending entries: ID, consumer, idle time, deliveries."""
    groups: Any = client.xinfo_groups("jobs")
    found: Any = client.xpending_range("jobs", groups[0]["name"], "-", "+", 10)
    return [tuple(entry.values()) for entry in found]
