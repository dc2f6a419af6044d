"""``streamq top`` at a terminal: what a person sees, presses and gets back."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from functools import partial

import anyio
import pytest
import redis

from tests.servers import RedisServer
from tests.situations import GROUP, add, fail, make_idle, read
from tests.ui.terminal.support import Sitting

Sit = Callable[..., Sitting]


@pytest.fixture
def ids(server: RedisServer, client: redis.Redis) -> dict[str, str]:
    """A job that is running, one that waits for a retry, a stalled one and a dead one."""
    found = {}
    for name, retries in (("dead", 0), ("retrying", 3)):
        data = json.dumps({"retries": retries, "file": f"{name}.png"})
        found[name] = add(client, {"type": "resize", "data": data})
        anyio.run(partial(fail, server.unix_url, retries=retries))
    for name, consumer in (("stalled", "web-1"), ("running", "web-2")):
        found[name] = add(client, {"type": "resize", "data": "{}"})
        assert read(client, consumer) == [found[name]]
    make_idle(client, found["stalled"], 7200)
    return found


def test_the_first_screen(sit: Sit, client: redis.Redis, ids: dict[str, str]) -> None:
    client.xadd("orphans", {"a": "b"})
    sitting = sit()
    shown = sitting.wait_for("images", "orphans")
    assert sitting.screen.other
    assert not sitting.screen.cursor
    first, second, *_ = lines = shown.splitlines()
    assert re.fullmatch(r"streamq top · \S+ · \w+ [\d.]+ · .* \d\d:\d\d:\d\d", first)
    assert re.search(r"lag +0  dead +1  oldest", second)
    assert lines[3].split() == [
        "STREAM", "GROUP", "IN/S", "DONE/S", "LAG", "RUN", "RETRY", "HELD", "STALL", "DEAD",
        "OLDEST", "ALIVE",
    ]  # fmt: skip
    [row] = [line for line in lines if " images " in line and line.startswith("  jobs")]
    assert row.split()[4:9] == ["0", "2", "1", "0", "0"]  # lag, running, and so on
    assert lines[-2].startswith("images · 0 queued · 3 pending · 1 dead · oldest ")
    assert (
        lines[-1] == "Enter open  d dead letters  p pause/resume  s sort  / filter  ? help  q quit"
    )

    sitting.type("q")
    assert sitting.end() == 0
    assert not sitting.screen.other
    assert sitting.screen.cursor


def test_into_a_group_and_a_job(sit: Sit, ids: dict[str, str]) -> None:
    sitting = sit()
    sitting.wait_for("images")
    sitting.type("\r")
    shown = sitting.wait_for("jobs / images", ids["running"], "web-2")
    [consumer] = [line for line in shown.splitlines() if line.startswith("web-2")]
    assert consumer.split()[:3] == ["web-2", "alive", "1"]
    assert f"resize {ids['running']}" in consumer
    assert re.search(
        rf"{ids['retrying']} +resize +retrying +1/4 .*retry, (59m|1h).*disk full", shown
    )
    assert re.search(rf"{ids['stalled']} +resize +stalled ", shown)

    sitting.type("\x1b[B")  # down, from the one that waits to the one that is stalled
    sitting.type("\r")
    sitting.wait_for(f"job       {ids['stalled']}", "status    stalled", "web-1 (")
    sitting.type("\x1b")
    sitting.wait_for("jobs / images")
    sitting.type("\x1b")
    sitting.wait_for("Enter open")


def test_a_job_is_retried_now_when_a_person_says_yes(
    sit: Sit, client: redis.Redis, ids: dict[str, str]
) -> None:
    due = client.zscore("{jobs}:group:images:retry", ids["retrying"])
    sitting = sit()
    sitting.wait_for("images")
    sitting.type("\r")
    sitting.wait_for(ids["retrying"])
    sitting.type("r")
    sitting.wait_for(f"Retry {ids['retrying']} in images now? [y/N]")
    sitting.type("n")
    sitting.wait_for("Nothing was changed")
    assert client.zscore("{jobs}:group:images:retry", ids["retrying"]) == due
    sitting.type("ry")
    sitting.wait_for(f"{ids['retrying']} is due now in images", "a worker")
    now = client.zscore("{jobs}:group:images:retry", ids["retrying"])
    assert now is not None
    assert due is not None
    assert now < due


def test_only_jobs_of_a_state_or_with_a_word(sit: Sit, ids: dict[str, str]) -> None:
    sitting = sit()
    sitting.wait_for("images")
    sitting.type("\rff")
    sitting.wait_for("Only retrying jobs", ids["retrying"], without=f"\n{ids['running']}")
    sitting.type("fff")
    sitting.wait_for("Jobs in any state", f"\n{ids['running']}")
    sitting.type("/disk")
    sitting.wait_for("Filter: disk", without=f"\n{ids['running']}")
    sitting.type("\x15zzz\r")
    sitting.wait_for("No pending job matches")
    sitting.type("\x1b")
    sitting.wait_for(f"\n{ids['running']}", "jobs / images")


def test_a_group_is_paused_and_resumed(sit: Sit, client: redis.Redis, ids: dict[str, str]) -> None:
    sitting = sit()
    sitting.wait_for("images")
    sitting.type("p")
    sitting.wait_for("Pause images on jobs? [y/N]")
    sitting.type("y")
    sitting.wait_for("Paused images on jobs", "\nP images")
    assert client.hget("{jobs}:group:images:state", "paused")
    sitting.type("py")
    sitting.wait_for("images on jobs goes on", without="\nP images")
    assert not client.hget("{jobs}:group:images:state", "paused")


@pytest.fixture
def dead(server: RedisServer, client: redis.Redis) -> list[str]:
    """Four dead jobs, of which the first is of another type."""
    found = [add(client, {"type": type, "data": "{}"}) for type in ("crop", *["resize"] * 3)]
    anyio.run(partial(fail, server.unix_url, retries=0, jobs=4))
    return found


def test_dead_letters_are_redriven(sit: Sit, client: redis.Redis, dead: list[str]) -> None:
    sitting = sit()
    sitting.wait_for("images")
    sitting.type("d")
    sitting.wait_for("jobs / images  4 dead letters", dead[0], "RuntimeError: no such\\x1b[31m")
    sitting.type("e")
    sitting.wait_for("4  RuntimeError", "resize, crop")
    sitting.type("\x1b")
    sitting.wait_for("ATTEMPTS")
    sitting.type("r")
    sitting.wait_for("Redrive ", " to images? [y/N]")
    sitting.type("y")
    sitting.wait_for("Redriven as ", "3 dead letters")
    assert client.xlen("{jobs}:group:images:dlq") == 3
    sitting.type("R")
    sitting.wait_for("Redrive 3 dead letters to images? [y/N]")
    sitting.type("y")
    sitting.wait_for("Redriven 3 dead letters", "No dead letter")
    assert client.xlen("{jobs}:group:images:dlq") == 0


def test_all_letters_of_one_error_are_redriven(
    sit: Sit, client: redis.Redis, dead: list[str]
) -> None:
    client.xadd("{jobs}:group:images:dlq", {"type": "a", "data": "{}"})
    sitting = sit()
    sitting.wait_for("images")
    sitting.type("de")
    sitting.wait_for("4  RuntimeError", "1  not written by streamq")
    sitting.type("R")
    sitting.wait_for("Redrive 4 dead letters with RuntimeError to images? [y/N]")
    sitting.type("y")
    sitting.wait_for("Redriven 4 dead letters", "1  not written by streamq", without="RuntimeError")
    sitting.type("\r")
    sitting.wait_for("1 dead letter, those with not written by streamq")


def test_only_the_letters_that_are_listed_are_redriven(
    sit: Sit, client: redis.Redis, dead: list[str]
) -> None:
    sitting = sit()
    sitting.wait_for("images")
    sitting.type("d/resize\r")
    sitting.wait_for("4 dead letters", f"\n{dead[3]}", without=f"\n{dead[0]}")
    sitting.type("R")
    sitting.wait_for("Redrive 3 dead letters to images? [y/N]")
    sitting.type("y")
    sitting.wait_for("1 dead letter\n")
    assert client.xlen("{jobs}:group:images:dlq") == 1


def test_a_dead_job_is_redriven_from_its_own_page(
    sit: Sit, client: redis.Redis, ids: dict[str, str]
) -> None:
    sitting = sit(height=16)
    sitting.wait_for("images")
    sitting.type("d")
    sitting.wait_for(ids["dead"])
    sitting.type("\r")
    sitting.wait_for(f"job          {ids['dead']}", "status       dead", " more below")
    sitting.type("G")
    sitting.wait_for("raise RuntimeError(", without=" more below")
    sitting.type("r")
    sitting.wait_for(f"Redrive {ids['dead']} to images? [y/N]")
    sitting.type("y")
    sitting.wait_for("Redriven as ")
    assert client.xlen("{jobs}:group:images:dlq") == 0


def test_read_only(sit: Sit, client: redis.Redis, ids: dict[str, str]) -> None:
    sitting = sit("--read-only")
    shown = sitting.wait_for("images")
    assert "pause" not in shown
    refused = "Nothing is changed from here: it was started with --read-only"
    sitting.type("p")
    sitting.wait_for(refused)
    sitting.type("d")
    sitting.wait_for(ids["dead"], without=refused)
    sitting.type("r")
    sitting.wait_for(refused)
    sitting.type("j")
    sitting.wait_for(ids["dead"], without=refused)
    sitting.type("R")
    sitting.wait_for(refused)
    assert client.xlen("{jobs}:group:images:dlq") == 1


def test_help_lists_the_keys_of_the_view(sit: Sit, ids: dict[str, str]) -> None:
    sitting = sit()
    sitting.wait_for("images")
    sitting.type("?")
    sitting.wait_for("PgUp, PgDn", "p           pause/resume", without="DONE/S")
    sitting.type("x")
    sitting.wait_for("DONE/S")
    sitting.type("\r?")
    sitting.wait_for("r           retry now", "Esc         back")


def test_pasted_text_presses_no_key(sit: Sit, client: redis.Redis, ids: dict[str, str]) -> None:
    sitting = sit()
    sitting.wait_for("images")
    sitting.type("\x1b[200~pyq\x1b[201~")
    sitting.type("/\x1b[200~ima\x1b[201~")
    sitting.wait_for("Filter: ima", "images")
    assert not client.hget("{jobs}:group:images:state", "paused")


def test_sorting(sit: Sit, client: redis.Redis) -> None:
    for stream, jobs in (("aaa", 1), ("bbb", 3), ("ccc", 2)):
        for _ in range(jobs):
            client.xadd(stream, {"a": "b"})
        client.xgroup_create(stream, "group", "0")

    def order(shown: str) -> list[str]:
        return re.findall(r"^. (aaa|bbb|ccc) ", shown, re.MULTILINE)

    sitting = sit()
    assert order(sitting.wait_for("aaa")) == ["aaa", "bbb", "ccc"]
    sitting.type("s")
    assert order(sitting.wait_for("Sorted by lag")) == ["bbb", "ccc", "aaa"]
    sitting.type("S")
    assert order(sitting.wait_for("Sorted by name")) == ["aaa", "bbb", "ccc"]
    assert order(sit("--sort", "lag").wait_for("aaa")) == ["bbb", "ccc", "aaa"]


def test_only_some_streams_or_groups(sit: Sit, client: redis.Redis) -> None:
    for stream in ("jobs", "mails"):
        client.xadd(stream, {"a": "b"})
        for group in ("send", "audit"):
            client.xgroup_create(stream, group, "0")
    sit("--stream", "mails").wait_for("send", "audit", "1 stream, 2 groups"[:0], without="jobs")
    sit("--group", "send").wait_for("jobs", "mails", without="audit")


def test_a_filter_for_names(sit: Sit, client: redis.Redis) -> None:
    for group in ("send", "audit"):
        client.xgroup_create("jobs", group, "0", mkstream=True)
    sitting = sit()
    sitting.wait_for("send", "audit")
    sitting.type("/SE")
    sitting.wait_for("send", without="audit")
    sitting.type("x\r")
    sitting.wait_for("No stream or group has 'SEx' in its name")
    sitting.type("\x1b")
    sitting.wait_for("send", "audit")


def test_a_server_without_streams(sit: Sit) -> None:
    sit().wait_for("There are no streams yet. Write a first job:  streamq produce")


def test_another_size(sit: Sit, ids: dict[str, str]) -> None:
    sitting = sit(width=120, height=40)
    sitting.wait_for("images", "TREND", "1 stream, 1 group")
    sitting.resize(80, 24)
    sitting.wait_for("images", "q quit")
    assert len(sitting.screen.text.splitlines()) == 24
    sitting.resize(30, 5)
    sitting.wait_for("Too small: 40 by 10 is the least"[:29])
    sitting.resize(200, 60)
    shown = sitting.wait_for("images", "q quit")
    assert len(shown.splitlines()) == 60


def test_more_groups_than_lines(sit: Sit, client: redis.Redis) -> None:
    for number in range(40):
        client.xgroup_create("jobs", f"group-{number:02}", "0", mkstream=True)
    sitting = sit()
    sitting.wait_for("group-00", without="group-39")
    sitting.type("\x1b[F")
    sitting.wait_for("group-39", without="group-00")
    sitting.type("\x1b[5~")
    sitting.type("g")
    sitting.wait_for("group-00", without="group-39")


def test_without_colour(sit: Sit, ids: dict[str, str]) -> None:
    sitting = sit(env={"NO_COLOR": "1"})
    sitting.wait_for("images")
    sitting.type("d")
    sitting.wait_for("1 dead letter")
    codes = set(";".join(re.findall(r"\x1b\[([\d;]+)m", sitting.written)).split(";"))
    assert codes <= {"0", "1", "2", "7"}
    in_colour = sit()
    in_colour.wait_for("images")
    assert "\x1b[31m" in in_colour.written


def test_only_ascii_where_there_is_no_more(sit: Sit, ids: dict[str, str]) -> None:
    sitting = sit(env={"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    sitting.wait_for("streamq top | ", "images")
    assert sitting.written.isascii()


@pytest.mark.parametrize("term", ["dumb", None])
def test_a_terminal_that_can_do_nothing(sit: Sit, ids: dict[str, str], term: str | None) -> None:
    sitting = sit(env={"TERM": term})
    sitting.wait_until(lambda: sitting.written.count("streamq top") > 1, "two pictures")
    assert "\x1b" not in sitting.written
    sitting.type("\x03")
    assert sitting.end() == 130


@pytest.mark.parametrize("place", ["", "\r", "/abc"], ids=["overview", "group", "typing"])
def test_ctrl_c_gives_the_terminal_back(sit: Sit, ids: dict[str, str], place: str) -> None:
    sitting = sit()
    sitting.wait_for("images")
    sitting.type(place)
    sitting.type("\x03")
    assert sitting.end() == 130
    assert not sitting.screen.other
    assert sitting.screen.cursor
    assert sitting.written.endswith("\x1b[?2004l\x1b[?25h\x1b[?1049l")


def test_sigterm_gives_it_back_too(sit: Sit, ids: dict[str, str]) -> None:
    sitting = sit()
    sitting.wait_for("images")
    sitting.signal(signal.SIGTERM)
    assert sitting.end() == 143
    assert not sitting.screen.other


def test_ctrl_z_gives_it_back_for_a_while(sit: Sit, ids: dict[str, str]) -> None:
    sitting = sit()
    sitting.wait_for("images")
    sitting.type("\x1a")
    sitting.wait_until(lambda: not sitting.screen.other, "given back")
    sitting.go_on()
    sitting.wait_for("images", "q quit")
    sitting.type("q")
    assert sitting.end() == 0


def test_an_error_of_ours_gives_it_back(sit: Sit, ids: dict[str, str]) -> None:
    sitting = sit(
        setup="from streamq.ui.terminal.views.group import GroupView\n"
        "GroupView.body = lambda *_: 1 / 0"
    )
    sitting.wait_for("images")
    sitting.type("\r")
    assert sitting.end() == 70
    assert not sitting.screen.other
    assert "streamq: ZeroDivisionError: division by zero" in sitting.written
    assert "Traceback" not in sitting.written


def test_a_server_that_goes_away_and_comes_back(
    sit: Sit, make_server: Callable[..., RedisServer]
) -> None:
    server = make_server("--appendonly", "yes")
    with server.client() as client:
        client.xgroup_create("jobs", GROUP, "0", mkstream=True)
    sitting = sit("--url", server.unix_url)
    sitting.wait_for("images")
    server.kill()
    shown = sitting.wait_for("server unavailable since ", "images")
    assert re.search(r"since \d\d:\d\d:\d\d", shown)
    sitting.type("\r")
    sitting.wait_for("jobs / images", "server unavailable")
    server.start()
    sitting.wait_for("No pending job", without="unavailable")
    sitting.type("\x1b")
    sitting.wait_for("q quit", "ALIVE")


def test_a_server_that_is_not_there(sit: Sit, server: RedisServer) -> None:
    sitting = sit("--url", "redis://127.0.0.1:1")
    assert sitting.end() == 69
    assert "\x1b" not in sitting.written
    assert sitting.written.startswith("streamq: ")


def test_a_group_that_is_deleted_while_it_is_looked_at(
    sit: Sit, client: redis.Redis, ids: dict[str, str]
) -> None:
    sitting = sit()
    sitting.wait_for("images")
    sitting.type("\r")
    sitting.wait_for(ids["running"])
    client.xgroup_destroy("jobs", "images")
    sitting.wait_for("has no group images")
    sitting.type("\x1b")
    sitting.wait_for("no group reads it"[:0], "jobs")
