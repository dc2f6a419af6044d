"""``streamq produce``."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.cli.support import Program, Result, at_terminal
from tests.servers import RedisServer

Run = Callable[..., Result]
Start = Callable[..., Program]


def jobs(client: redis.Redis, stream: str = "jobs") -> list[tuple[str, Any]]:
    """The types and the data in a stream."""
    entries: Any = client.xrange(stream)
    return [(fields.get("type", ""), json.loads(fields["data"])) for _, fields in entries]


def ids(client: redis.Redis) -> list[str]:
    """The IDs in the stream."""
    entries: Any = client.xrange("jobs")
    return [job_id for job_id, _ in entries]


def test_a_job_out_of_fields(streamq: Run, client: redis.Redis) -> None:
    code, out, err = streamq("produce", "file=image_1.png", "action=process_image", "width:=256")

    (job_id,) = ids(client)
    assert (code, out, err) == (0, f"Enqueued job: {job_id}\n", "")
    assert jobs(client) == [("", {"file": "image_1.png", "action": "process_image", "width": 256})]


def test_a_job_of_a_type_without_data(streamq: Run, client: redis.Redis) -> None:
    assert streamq("produce", "--type", "nightly", "--stream", "other").code == 0
    assert jobs(client, "other") == [("nightly", {})]


def test_a_job_out_of_json(streamq: Run, client: redis.Redis) -> None:
    streamq("produce", "--data", '{"type": "a field", "file": "é"}')
    streamq("produce", "-d", '{"file": "a"}', "--type", "resize")

    assert jobs(client) == [("", {"type": "a field", "file": "é"}), ("resize", {"file": "a"})]


def test_copies(streamq: Run, client: redis.Redis) -> None:
    code, out, _ = streamq("produce", "a=1", "--count", "1234")

    *shown, summary = out.splitlines()
    assert (code, client.xlen("jobs"), len(shown)) == (0, 1234, 10)
    assert summary.startswith("Enqueued 1,234 jobs in ")


def test_only_the_ids(streamq: Run, client: redis.Redis) -> None:
    _, out, _ = streamq("produce", "a=1", "--count", "600", "-q")

    assert out.split() == ids(client)


def test_json_for_programs(streamq: Run, client: redis.Redis) -> None:
    _, one, _ = streamq("produce", "a=1", "--type", "t\u00e9", "--json")
    _, many, _ = streamq("produce", "a=1", "--count", "2", "--json")

    first, *rest = ids(client)
    assert json.loads(one) == {
        "id": first, "stream": "jobs", "type": "t\u00e9", "created": True, "replaced": False,
        "scheduled_for": None,
    }  # fmt: skip
    *lines, summary = map(json.loads, many.splitlines())
    assert [line["id"] for line in lines] == rest
    assert (summary["enqueued"], summary["skipped"]) == (2, 0)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["resize"], "'resize' is no field"),
        (["--data", "{"], "--data: not JSON: "),
        (["--data", "[]"], "--data: not an object but a list"),
        (["a=1", "--data", "{}"], "one of them"),
        (["a=1", "--unique-for", "5"], "give that, too"),
        (["a=1", "--unique", "k", "--count", "2"], "--unique is for one job"),
        (["a=1", "--file", "x"], "one of them"),
        (["--file", "no\x1bthing"], "cannot read no\\x1bthing: No such file or directory"),
        (["--file", "."], "cannot read .: it is a directory"),
        (["--type", "x" * 200], "is not a valid job type"),
        (["a=1", "--stream", "a\nb"], "is not a valid stream name"),
        (["a=1", "--max-payload", "8"], "(offload), or raise the limit (--max-payload)"),
        (["a=\udcff"], "cannot be written as JSON"),
    ],
)
def test_what_cannot_be_written_is_refused(
    streamq: Run, client: redis.Redis, args: list[str], message: str
) -> None:
    code, out, err = streamq("produce", *args)

    assert (code, out) == (2, "")
    assert err.startswith("streamq: ")
    assert err.count("\n") == 1
    assert message in err
    assert client.keys("*") == []


# -- files --------------------------------------------------------------------

LINES = b'\xef\xbb\xbf{"type": "a", "data": {"n": 1}}\n\n{"n": 2}\n'
BAD = b'{"n": 3}\nnonsense\n{"n": 5}\n'


def test_a_file(streamq: Run, client: redis.Redis, scratch: Path) -> None:
    (scratch / "jobs.ndjson").write_bytes(LINES)

    code, out, err = streamq("produce", "--file", "jobs.ndjson", "--type", "b")

    first, second, summary = out.splitlines()
    assert (code, err) == (0, "")
    assert [first, second] == [f"Enqueued job: {job_id}" for job_id in ids(client)]
    assert summary.startswith("Enqueued 2 jobs in ")
    assert jobs(client) == [("a", {"n": 1}), ("b", {"n": 2})]


def test_a_bad_line_ends_it_and_is_named(streamq: Run, client: redis.Redis, scratch: Path) -> None:
    (scratch / "f").write_bytes(BAD)

    code, _, err = streamq("produce", "--file", "f")

    assert code == 2
    assert err.startswith("streamq: f, line 2: not JSON: ")
    assert err.endswith("; 1 job was written, up to line 1\n")
    assert jobs(client) == [("", {"n": 3})]


def test_bad_lines_can_be_skipped(streamq: Run, client: redis.Redis, scratch: Path) -> None:
    long = b'{"n": "' + b"x" * 20_000 + b'"}\n'
    (scratch / "f").write_bytes(BAD + long + b'{"n": "' + b"x" * 1000 + b'"}\n{"n": 8}\n')

    code, out, err = streamq("produce", "--file", "f", "--skip-bad", "--max-payload", "1000")

    assert code == 0
    assert out.splitlines()[-1].endswith(", skipped 3 bad lines")
    assert [line.split(":")[1] for line in err.splitlines()] == [
        " f, line 2", " f, line 4", " f, line 5",
    ]  # fmt: skip
    assert "the line is too long" in err
    assert "the data takes 1,008 bytes" in err
    assert jobs(client) == [("", {"n": 3}), ("", {"n": 5}), ("", {"n": 8})]


def test_more_lines_than_one_chunk(streamq: Run, client: redis.Redis, scratch: Path) -> None:
    (scratch / "f").write_text("".join(f'{{"n": {n}}}\n' for n in range(12_345)))

    assert streamq("produce", "-f", "f").out.splitlines()[-1].startswith("Enqueued 12,345 jobs")
    assert [data["n"] for _, data in jobs(client)] == list(range(12_345))


def test_a_server_that_runs_full_in_the_middle(
    streamq: Run, make_server: Callable[..., RedisServer], scratch: Path
) -> None:
    server = make_server("--maxmemory", "4mb", "--maxmemory-policy", "noeviction")
    (scratch / "f").write_text(f'{{"n": "{"x" * 1000}"}}\n' * 10_000)

    code, _, err = streamq("produce", "-f", "f", "--url", server.url)

    assert code == 1
    assert "maxmemory" in err
    with server.client() as client:
        assert 0 < client.xlen("jobs") < 10_000
        told = re.search(
            r"; ([\d,]+) jobs were written, up to line (\d+) for certain, perhaps some more\n$", err
        )
        assert told is not None
        assert int(told[1].replace(",", "")) == int(told[2]) <= client.xlen("jobs")


def test_a_full_stream(streamq: Run, start: Start, client: redis.Redis, scratch: Path) -> None:
    (scratch / "f").write_text('{"n": 1}\n' * 10)
    code, _, err = streamq("produce", "-f", "f", "--max-backlog", "7")
    assert (code, client.xlen("jobs")) == (1, 7)
    assert err == (
        "streamq: the stream jobs is full: 7 jobs wait, and 7 may (max_backlog); nothing more was "
        "written; 7 jobs were written, up to line 7\n"
    )
    code, out, err = streamq("produce", "a=1", "--max-backlog", "7")
    assert (code, out) == (1, "")
    code, _, err = streamq(
        "produce", "a=1", "--max-backlog", "7", "--on-full", "wait", "--full-timeout", "20ms"
    )
    assert code == 1
    assert "is after 0.02 s still full" in err
    waiting = start("produce", "a=1", "--max-backlog", "7", "--on-full", "wait")
    client.delete("jobs")
    assert waiting.end().code == 0
    assert client.xlen("jobs") == 1


@pytest.mark.parametrize(
    "args",
    [
        ("--max-backlog", "0"), ("--on-full", "wait"), ("--max-backlog", "1", "--on-full", "drop"),
        ("--max-backlog", "1", "--full-timeout", "soon"),
    ],
)  # fmt: skip
def test_backpressure_that_cannot_be(
    streamq: Run, client: redis.Redis, args: tuple[str, ...]
) -> None:
    result = streamq("produce", "a=1", *args)
    assert (result.code, result.out) == (2, "")
    assert not client.exists("jobs")


# -- pipes and terminals ------------------------------------------------------


@pytest.mark.parametrize("args", [[], ["-"], ["--file", "-"]])
def test_lines_from_a_pipe(start: Start, client: redis.Redis, args: list[str]) -> None:
    assert start("produce", *args, stdin=LINES).end().code == 0
    assert jobs(client) == [("a", {"n": 1}), ("", {"n": 2})]


def test_one_job_with_a_delay_does_not_wait_for_a_pipe(start: Start, client: redis.Redis) -> None:
    program = start("produce", "--type", "nightly", "--delay", "1h", stdin=None)

    assert program.end().code == 0
    assert client.zcard("{jobs}:scheduled") == 1


@pytest.mark.parametrize("option", ["--unique", "--count"])
def test_what_is_for_one_job_is_refused_for_a_file(
    streamq: Run, client: redis.Redis, scratch: Path, option: str
) -> None:
    (scratch / "f").write_bytes(LINES)

    code, _, err = streamq("produce", "--type", "a", "-f", "f", option, "2")

    assert code == 2
    assert f"{option} is for one job" in err
    assert client.keys("*") == []


def test_an_empty_pipe_is_a_mistake_unless_asked_for(start: Start, client: redis.Redis) -> None:
    code, _, err = start("produce", "--type", "nightly").end()
    assert (code, err) == (2, "streamq: standard input is empty; see streamq produce --help\n")

    assert start("produce", "-").end().code == 0
    assert client.keys("*") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_slow_pipe_is_written_as_it_comes_and_interrupted_cleanly(
    start: Start, client: redis.Redis, number: signal.Signals
) -> None:
    program = start("produce", stdin=None)
    program.write(b'{"n": 1}\n')
    program.wait_for("Enqueued job: ")
    assert jobs(client) == [("", {"n": 1})]

    program.signal(number)
    code, _, err = program.end()
    assert (code, err) == (128 + number, "streamq: interrupted: 1 job was written, up to line 1\n")


def test_a_second_interrupt_does_not_wait_for_a_server_that_hangs(
    start: Start, make_server: Callable[..., RedisServer]
) -> None:
    server = make_server()
    program = start("produce", "a=1", "--count", "10000000", "--url", server.unix_url)
    program.wait_for("Enqueued job: ")
    server.signal(signal.SIGSTOP)

    program.signal(signal.SIGINT)
    program.wait_for("Waiting for the server")
    program.signal(signal.SIGINT)

    code, _, err = program.end()
    assert code == 130
    assert re.search(r"streamq: interrupted: [\d,]+ jobs were written, perhaps some more\n$", err)


def test_without_anything_it_explains_itself_at_a_terminal() -> None:
    code, shown = at_terminal(["produce"])

    assert code == 2
    assert "\n  streamq produce file=image_1.png action=process_image\n" in shown
    assert "\n  streamq produce --type resize file=image_1.png width:=256\n" in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.usefixtures("start")
def test_a_progress_bar_for_a_person_who_waits(client: redis.Redis, scratch: Path) -> None:
    (scratch / "f").write_text('{"n": 1}\n' * 20_000)

    impatient = "import streamq.cli.produce.report as report; report.PATIENCE = 0"
    code, shown = at_terminal(["produce", "--file", "f"], setup=impatient)

    assert code == 0
    assert "━" in shown
    assert client.xlen("jobs") == 20_000
