"""``streamq top`` where no keys can be pressed: one picture, or one after the other."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable

import pytest
import redis

from tests.cli.support import Program, Result, at_terminal, read_one_line
from tests.servers import RedisServer
from tests.situations import GROUP, add, read

Streamq = Callable[..., Result]
Start = Callable[..., Program]

QUICK = ("--interval", "100ms")


@pytest.fixture
def job_id(client: redis.Redis) -> str:
    """A job that is running, of a group beside which there is another one."""
    job_id = add(client, {"type": "resize", "data": "{}"})
    assert read(client, "web-1") == [job_id]
    client.xgroup_create("jobs", "audit", "0")
    return job_id


def test_one_picture(streamq: Streamq, client: redis.Redis, job_id: str) -> None:
    client.xadd("orphans", {"a": "b"})
    code, out, err = streamq("top", "--once", *QUICK)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert re.fullmatch(r"streamq top · \S+ · \w+ [\d.]+ · [\d.]+ MiB  \d\d:\d\d:\d\d", lines[0])
    assert re.fullmatch(
        r"in +0/s  done +0/s  lag +1  dead +0  oldest +(<1s|\ds)  2 streams, 2 groups", lines[1]
    )
    assert lines[2] == ""
    titles = "STREAM GROUP IN/S DONE/S LAG RUN RETRY HELD STALL DEAD OLDEST ALIVE"
    assert lines[3].split() == titles.split()
    assert [line.split()[:3] for line in lines[4:]] == [
        ["!", "jobs", "audit"], ["jobs", "images", "0"], ["?", "orphans", "-"],
    ]  # fmt: skip
    assert lines[4].endswith("  no consumer alive")
    assert lines[6].endswith("  no group reads it")
    assert "\x1b" not in out


def test_json(streamq: Streamq, job_id: str) -> None:
    code, out, err = streamq("top", "--once", "--json", "--sort", "running", *QUICK)
    assert (code, err) == (0, "")
    [stream] = json.loads(out)["streams"]
    assert stream["name"] == "jobs"
    assert stream["added_rate"] == 0
    assert [group["name"] for group in stream["groups"]] == ["images", "audit"]
    assert [group["running"] for group in stream["groups"]] == [1, 0]
    assert [group["queued"] for group in stream["groups"]] == [0, 1]


def test_only_what_is_asked_for(streamq: Streamq, client: redis.Redis, job_id: str) -> None:
    client.xadd("orphans", {"a": "b"})
    out = streamq("top", "--once", "--group", GROUP, *QUICK).out
    assert "images" in out
    assert "audit" not in out
    assert "orphans" not in out
    out = streamq("top", "--once", "--stream", "orphans", "--stream", "missing", *QUICK).out
    assert "1 stream, 0 groups" in out
    assert "There is no stream missing\n" in streamq("top", "--once", "-s", "missing", *QUICK).out
    assert "No stream has a group who\n" in streamq("top", "--once", "-g", "who", *QUICK).out


def test_no_streams(streamq: Streamq, server: RedisServer) -> None:
    code, out, _ = streamq("top", "--once", *QUICK)
    assert code == 0
    assert out.endswith("Write a first job:  streamq produce file=image_1.png\n")


def test_one_after_the_other_until_ctrl_c(start: Start, job_id: str) -> None:
    program = start("top", "--json", *QUICK)
    program.wait_for('"added_rate":0.0')
    program.signal(signal.SIGINT)
    code, out, err = program.end()
    assert (code, err) == (130, "")
    first, second, *_ = map(json.loads, out.splitlines())
    assert first["streams"][0]["added_rate"] is None
    assert second["at"] > first["at"]


def test_whoever_reads_may_go(job_id: str, server: RedisServer) -> None:
    assert read_one_line("top", "--url", server.unix_url, *QUICK) == (141, "")


def test_a_server_that_goes_away_and_comes_back(
    start: Start, make_server: Callable[..., RedisServer]
) -> None:
    server = make_server()
    program = start("top", "--json", "--url", server.unix_url, *QUICK)
    program.wait_for('"streams"')
    server.kill()
    program.wait_for("The server is away: ")
    server.start()
    program.wait_for("The server is back")
    program.signal(signal.SIGINT)
    assert program.end().code == 130


def test_a_server_that_is_not_there(streamq: Streamq) -> None:
    code, out, err = streamq("top", "--once", "--url", "redis://127.0.0.1:1")
    assert (code, out) == (69, "")
    assert err.startswith("streamq: ")


def test_one_picture_at_a_terminal(
    job_id: str, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMQ_URL", server.unix_url)
    code, shown = at_terminal(["top", "--once", *QUICK])
    assert code == 0
    assert "\x1b[1mGROUP\x1b[0m" in shown
    assert "\x1b[?" not in shown
    assert max(len(re.sub(r"\x1b\[[\d;]*m", "", line)) for line in shown.splitlines()) <= 80


@pytest.mark.parametrize("words", [["--sort", "size"], ["--interval", "0"], ["jobs"]])
def test_wrong_usage(streamq: Streamq, words: list[str]) -> None:
    code, out, err = streamq("top", *words)
    assert (code, out) == (2, "")
    assert err.startswith("streamq: ")


def test_names_from_the_server_are_shown_safely(streamq: Streamq, client: redis.Redis) -> None:
    client.xgroup_create("jobs", "evil\x1b[31m", "0", mkstream=True)
    out = streamq("top", "--once", *QUICK).out
    assert "evil\\x1b[31m" in out
    assert "\x1b" not in out + streamq("top", "--once", "--json", *QUICK).out
