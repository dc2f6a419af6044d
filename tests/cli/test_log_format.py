"""``streamq consume --log-format``: text for a person, JSON for a program."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.cli.support import Program, Result, at_terminal

Start = Callable[..., Program]

WORKER = """
import logging
from streamq import App

app = App()
log = logging.getLogger("shop")

@app.group("images").handler("greet")
async def greet(name: str) -> None:
    log.info("hello %s", name)
"""
FIELDS = {"stream": "jobs", "group": "images", "type": "greet", "attempt": 1}


@pytest.fixture(autouse=True)
def job(scratch: Path, client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> str:
    """One job, and the App above for it."""
    monkeypatch.delenv("STREAMQ_LOG_FORMAT", raising=False)
    (scratch / "worker.py").write_text(WORKER)
    id = client.xadd("jobs", {"type": "greet", "data": '{"name":"ann"}'})
    assert isinstance(id, str)
    return id


ARGS = ("consume", "--app", "worker:app", "--burst", "--metrics-port", "0")


def lines_of(err: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in err.splitlines()]


def test_into_a_pipe_each_line_is_an_object(start: Start, job: str) -> None:
    lines = lines_of(start(*ARGS).end().err)

    for line in lines:
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(line["time"]))
        assert line["level"] in ("INFO", "WARNING")
    [hello] = [line for line in lines if line["logger"] == "shop"]
    assert hello.items() >= {**FIELDS, "job_id": job, "message": "hello ann"}.items()
    assert hello["consumer"]
    assert str(lines[-1]["message"]).startswith("1 done, 0 retried, 0 dead in ")
    assert "job_id" not in lines[-1]


def test_at_a_terminal_it_is_text(start: Start, job: str) -> None:
    code, shown = at_terminal(ARGS)

    assert code == 0
    assert re.search(rf"\d INFO    \[images greet {job} #1\] hello ann\n", shown)


@pytest.mark.parametrize("way", ["option", "environment"])
def test_text_into_a_pipe(
    way: str, start: Start, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "environment":
        monkeypatch.setenv("STREAMQ_LOG_FORMAT", "text")
        err = start(*ARGS).end().err
    else:
        err = start(*ARGS, "--log-format", "text").end().err

    assert f"INFO    [images greet {job} #1] hello ann\n" in err


def test_the_option_counts_more_than_the_environment(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMQ_LOG_FORMAT", "text")

    assert lines_of(start(*ARGS, "--log-format", "json").end().err)


def test_all_processes_log_the_same_way(start: Start, job: str) -> None:
    lines = lines_of(start(*ARGS, "--processes", "2").end().err)

    [hello] = [line for line in lines if line["logger"] == "shop"]
    assert hello.items() >= {**FIELDS, "job_id": job}.items()
    assert hello["process"] in (1, 2)


def test_what_the_command_says_stays_text(start: Start) -> None:
    result = start("consume", "--app", "nothing:app").end()

    assert result.err.startswith("streamq: ")


def test_no_such_format(streamq: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    given = streamq("consume", "--log-format", "xml")
    assert given.code == 2
    assert "give one of auto, text, json" in given.err

    monkeypatch.setenv("STREAMQ_LOG_FORMAT", "xml")
    given = streamq("consume")
    assert given.code == 2
    assert given.err == "streamq: STREAMQ_LOG_FORMAT is 'xml': give one of auto, text, json\n"
