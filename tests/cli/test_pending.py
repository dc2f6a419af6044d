"""``streamq pending``: the diagnosis, and the cure beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
import pytest
import redis
from click import BadParameter

from streamq.cli.options import seconds
from tests.cli.support import Result, at_terminal, read_one_line
from tests.servers import RedisServer
from tests.situations import GROUP, add, fail, make_idle, read

Streamq = Callable[..., Result]

APP = """
from streamq import App
app = App()

@app.group("images").handler("resize", retries=3)
def resize(): ...
"""


@pytest.fixture
def three(server: RedisServer, client: redis.Redis) -> list[str]:
    """Three pending jobs: one waits for a retry, one is running, one stalled."""
    ids = [
        add(client, {"type": "resize", "data": json.dumps({"file": f"{n}.png"})}) for n in range(4)
    ]
    anyio.run(partial(fail, server.unix_url, retries=3))
    read(client, "web-1")
    read(client, "web-2")
    make_idle(client, ids[2], 300)
    return ids


def lines(result: Result) -> list[str]:
    assert result.err == ""
    assert result.code == 0
    return result.out.splitlines()


def test_a_line_a_job_when_piped(streamq: Streamq, three: list[str]) -> None:
    title, first, second, third, blank, *summary = lines(streamq("pending"))
    assert title.split() == [
        "JOB", "GROUP", "TYPE", "STATE", "ATTEMPT", "IDLE", "WAITS", "FOR",
        "CONSUMER", "ERROR", "DATA",
    ]  # fmt: skip
    assert first.startswith(f"{three[0]}  images  resize  retrying  1")
    assert first.endswith('disk full  {"file": "0.png"}')
    assert second.startswith(f"{three[1]}  images  resize  running   1")
    assert "web-1 (alive)" in second
    assert "stalled" in third
    assert "5 min" in third
    assert blank == ""
    assert summary[0] == (
        "images: 3 pending (1 running, 1 retrying, 1 stalled), 1 queued, 0 dead, 2 consumers alive"
    )
    assert summary[1].startswith(f"Oldest entry: {three[0]}, ")
    assert summary[1].endswith(" old, kept by images")


def test_it_says_which_lease_it_assumes(streamq: Streamq, three: list[str]) -> None:
    *_, said = lines(streamq("pending"))
    assert said == "Stalled, gone: silent for longer than the lease, assumed to be 30 s (--lease)"
    *_, said = lines(streamq("pending", "--lease", "1h"))
    assert said.startswith("Oldest entry")
    assert "stalled (silent for longer than the lease, assumed to be 30 s)" in (
        streamq("status", three[2]).out
    )


def test_it_fits_a_terminal_of_80_columns(streamq: Streamq, three: list[str]) -> None:
    code, shown = at_terminal(["pending"])
    assert code == 0
    rows = shown.splitlines()
    assert f"{three[0]}  images  resize  retrying  1" in rows[1]
    assert rows[2:4] == ["    error     disk full", '    data      {"file": "0.png"}']
    assert "    consumer  web-2 (alive)" in rows
    assert f"  streamq pending retry {three[0]}" in rows
    assert [row for row in rows[1:10] if len(row) > 80] == []


def test_a_group_that_nobody_processes(
    streamq: Streamq, three: list[str], scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, shown = at_terminal(["pending", "--lease", "0"])
    assert "No worker for images. Start one:" in shown.splitlines()
    # Without an App, it would print the jobs and call them done.
    assert "  streamq consume --app MODULE:NAME --group images" in shown.splitlines()
    (scratch / "shop_two.py").write_text(APP)
    _, shown = at_terminal(["pending", "--lease", "0", "--app", "shop_two:app"])
    assert "  streamq consume --app shop_two:app --group images" in shown.splitlines()
    monkeypatch.setenv("STREAMQ_APP", "shop_two:app")
    _, shown = at_terminal(["pending", "--lease", "0"])
    assert "  streamq consume --group images" in shown.splitlines()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("30", 30), ("30s", 30), ("1.5s", 1.5), ("250ms", 0.25), ("5m", 300), ("2h", 7200),
     ("1d", 86400), ("1 h", 3600)],
)  # fmt: skip
def test_time_spans(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "-1", "1w", "1h30m", "inf", "nan", "1e9"])
def test_what_is_no_time_span(text: str) -> None:
    with pytest.raises(BadParameter, match="give 30, 30s, 5m, 2h or 1d"):
        seconds(text)


def test_it_is_one_line_a_job_on_a_wide_terminal(streamq: Streamq, three: list[str]) -> None:
    _, shown = at_terminal(["pending"], columns=200)
    assert shown.splitlines()[1].endswith('disk full  {"file": "0.png"}')


def test_json_has_an_object_a_line(streamq: Streamq, three: list[str]) -> None:
    rows = [json.loads(line) for line in lines(streamq("pending", "--json"))]
    assert [row["id"] for row in rows] == three[:3]
    assert [row["state"] for row in rows] == ["retrying", "running", "stalled"]
    assert rows[0]["error"] == "disk full"
    assert 3500 < rows[0]["next_attempt"] <= 3600
    assert (rows[1]["consumer"], rows[1]["consumer_alive"]) == ("web-1", True)
    assert rows[2]["idle"] >= 300


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--state", "stalled"], [2]),
        (["--state", "stalled", "--state", "retrying"], [0, 2]),
        (["--min-idle", "5m"], [2]),
        (["--min-idle", "1h"], []),
        (["--consumer", "web-1"], [1]),
        (["--group", "images"], [0, 1, 2]),
        (["--limit", "2"], [0, 1]),
    ],
)
def test_filters(streamq: Streamq, three: list[str], options: list[str], found: list[int]) -> None:
    shown = lines(streamq("pending", "--json", *options))
    assert [json.loads(line)["id"] for line in shown] == [three[n] for n in found]


def test_a_filtered_table_says_of_how_many(streamq: Streamq, three: list[str]) -> None:
    assert "1 job shown of 3 pending" in lines(streamq("pending", "--state", "running"))
    assert lines(streamq("pending", "--min-idle", "1d"))[0] == "0 jobs shown of 3 pending"


def test_a_lease_decides_who_is_gone(streamq: Streamq, three: list[str]) -> None:
    out = streamq("pending", "--lease", "0").out
    assert "web-1 (gone)" in out
    assert "3 pending (1 retrying, 2 stalled)" in out
    assert "no consumer alive" in out


def test_attempts_of_how_many_where_an_app_says_so(
    streamq: Streamq, three: list[str], scratch: Path
) -> None:
    (scratch / "shop_one.py").write_text(APP)
    assert "retrying  1 of 4" in streamq("pending", "--app", "shop_one:app").out
    broken = streamq("pending", "--app", "shop_one:nothing")
    assert (broken.code, broken.out) == (2, "")


def test_a_broken_app_in_the_environment_hides_nothing(
    streamq: Streamq, three: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMQ_APP", "no_such_module:app")
    result = streamq("pending")
    assert result.code == 0
    assert "What the App knows of its jobs is left out" in result.err
    assert three[0] in result.out


def test_nothing_pending(streamq: Streamq, client: redis.Redis) -> None:
    client.xgroup_create("jobs", GROUP, mkstream=True)
    assert lines(streamq("pending")) == [
        "Nothing is pending",
        "images: 0 pending, 0 queued, 0 dead, no consumer alive",
    ]
    assert streamq("pending", "--json") == (0, "", "")


def test_no_stream_and_no_group(streamq: Streamq, client: redis.Redis) -> None:
    result = streamq("pending")
    assert (result.code, result.out) == (1, "")
    assert result.err == "streamq: there is no stream jobs: nothing was written to it yet\n"
    client.xgroup_create("jobs", "audit", mkstream=True)
    result = streamq("pending", "--group", "images")
    assert (result.code, result.out) == (1, "")
    assert result.err == "streamq: the stream jobs has no group images: its only group is audit\n"


def test_a_wrong_time_span_is_wrong_usage(streamq: Streamq) -> None:
    result = streamq("pending", "--min-idle", "soon")
    assert result.code == 2
    assert "'soon' is not a duration: give 30, 30s, 5m, 2h or 1d" in result.err


def test_control_characters_stay_out_of_the_terminal(streamq: Streamq, client: redis.Redis) -> None:
    add(client, {"type": "a\x1b[2Jb", "data": "\x1b]0;x\x07\n\u202e"})
    client.xgroup_create("jobs", GROUP, "0")
    client.xreadgroup(GROUP, "c\x1b[1m", {"jobs": ">"})
    for out in (streamq("pending").out, streamq("pending", "--json").out):
        assert not {"\x1b", "\x07", "\u202e"} & set(out)
    assert "\\x1b[2J" in streamq("pending").out
    row = json.loads(streamq("pending", "--json").out)
    assert (row["type"], row["consumer"]) == ("a\x1b[2Jb", "c\x1b[1m")


def test_a_reader_that_goes_away_is_no_error(streamq: Streamq, client: redis.Redis) -> None:
    for _ in range(3000):
        add(client, {"data": json.dumps("x" * 100)})
    read(client, "a", 3000)
    assert read_one_line("pending", "--json") == (141, "")


def test_options_before_a_command_are_not_ignored(streamq: Streamq, three: list[str]) -> None:
    result = streamq("pending", "--group", "audit", "retry", three[0])
    assert (result.code, result.out) == (2, "")
    assert result.err == "streamq: give --group after retry, not before it\n"


# -- retry, dead-letter, release ----------------------------------------------


def test_retry(streamq: Streamq, three: list[str]) -> None:
    result = streamq("pending", "retry", three[0], three[2])
    assert result == (
        0, f"{three[0]} is due now in images\n{three[2]} is due now in images\n", "",
    )  # fmt: skip
    rows = [json.loads(line) for line in lines(streamq("pending", "--json"))]
    assert [row["state"] for row in rows] == ["retrying", "running", "retrying"]
    assert rows[0]["next_attempt"] == 0


def test_retry_of_all_that_wait(streamq: Streamq, three: list[str]) -> None:
    streamq("pending", "retry", three[2])  # a stalled one, parked from now on
    assert streamq("pending", "retry", "--all") == (0, "2 jobs due now in images\n", "")
    assert streamq("pending", "retry", "--all", "--group", "images").out == (
        "2 jobs due now in images\n"
    )
    rows = [json.loads(line) for line in lines(streamq("pending", "--json"))]
    assert [row["next_attempt"] for row in rows] == [0, None, 0]


@pytest.mark.parametrize("args", [(), ("--all", "1-1")])
def test_retry_of_some_or_of_all(streamq: Streamq, args: tuple[str, ...]) -> None:
    result = streamq("pending", "retry", *args)
    assert (result.code, result.out) == (2, "")
    assert "give the IDs of jobs, or --all" in result.err


def test_retry_of_a_running_and_an_unknown_job(streamq: Streamq, three: list[str]) -> None:
    result = streamq("pending", "retry", three[1], "1-1", three[0])
    assert result.code == 1
    assert result.out == f"{three[0]} is due now in images\n"
    assert result.err.splitlines() == [
        f"streamq: {three[1]} is running in images: left alone",
        "streamq: 1-1 is not pending in any group; see streamq status 1-1",
    ]


def test_retry_reaches_every_group_that_has_it(
    streamq: Streamq, client: redis.Redis, three: list[str]
) -> None:
    read(client, "auditor", group="audit")
    make_idle(client, three[0], 300, "audit")
    assert set(lines(streamq("pending", "retry", three[0]))) == {
        f"{three[0]} is due now in audit", f"{three[0]} is due now in images",
    }  # fmt: skip


def test_dead_letter(streamq: Streamq, client: redis.Redis, three: list[str]) -> None:
    result = streamq("pending", "dead-letter", three[0], "--reason", "bad picture")
    assert result == (0, f"{three[0]} is now a dead letter of images\n", "")
    shown = json.loads(streamq("dlq", "show", three[0], "--json").out)
    assert (shown["reason"], shown["error"]) == ("by hand", "bad picture; last error: disk full")
    again = streamq("pending", "dead-letter", three[0])
    assert again.code == 1
    assert "not pending in images" in again.err


def test_dead_letter_asks_which_group(
    streamq: Streamq, client: redis.Redis, three: list[str]
) -> None:
    client.xgroup_create("jobs", "audit")
    result = streamq("pending", "dead-letter", three[0])
    assert (result.code, result.out) == (2, "")
    assert result.err == "streamq: say which group is meant with --group: audit, images\n"
    assert streamq("pending", "dead-letter", three[0], "--group", "images").code == 0


def test_release(streamq: Streamq, client: redis.Redis, three: list[str]) -> None:
    alive = streamq("pending", "release", "--consumer", "web-2")
    assert (alive.code, alive.out) == (1, "")
    assert "web-2 is alive" in alive.err
    assert alive.err.endswith(
        "it counts as gone 30 s after its last heartbeat; --force releases its jobs now\n"
    )
    assert lines(streamq("pending", "release", "--consumer", "web-2", "--lease", "0")) == [
        "Released 1 job of web-2 in images, due now"
    ]
    assert "web-2" not in {c["name"] for c in client.xinfo_consumers("jobs", GROUP)}
    gone = streamq("pending", "release", "--consumer", "web-2")
    told = "streamq: no group of jobs has a consumer web-2; see streamq pending\n"
    assert (gone.code, gone.err) == (1, told)


def test_the_server_is_away(streamq: Streamq) -> None:
    for command in (["pending"], ["pending", "retry", "1-1"], ["info"], ["dlq", "list"]):
        result = streamq(*command, "--url", "redis://127.0.0.1:1")
        assert (result.code, result.out) == (69, "")
        assert len(result.err.splitlines()) == 1
