"""``streamq group pause``, ``resume``, ``set``, and what the other commands show of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import redis

from tests.cli.support import Result, at_terminal
from tests.lua.flow_support import FlowGroup, add_keyed
from tests.lua.support import succeeded

Streamq = Callable[..., Result]
ANSI = re.compile(r"\x1b\[[0-9;]*m")
STATE = "{jobs}:group:mails:state"


@pytest.fixture(autouse=True)
def group(client: redis.Redis) -> None:
    """A group that is there."""
    client.xgroup_create("jobs", "mails", "0", mkstream=True)


def state(client: redis.Redis) -> dict[str, str]:
    found: Any = client.hgetall(STATE)
    return dict(found)


# -- pause and resume ---------------------------------------------------------


def test_pause_and_resume(streamq: Streamq, client: redis.Redis) -> None:
    assert streamq("group", "pause", "mails") == (0, "jobs as mails: paused\n", "")
    assert list(state(client)) == ["paused"]
    assert streamq("group", "pause", "mails").out == "jobs as mails: paused already\n"
    assert streamq("group", "resume", "mails").out == "jobs as mails: resumed\n"
    assert streamq("group", "resume", "mails") == (0, "jobs as mails: was not paused\n", "")
    assert not client.exists(STATE)


def test_one_type(streamq: Streamq, client: redis.Redis) -> None:
    of = "the type news in jobs as mails"
    assert streamq("group", "pause", "mails", "--type", "news").out == f"{of}: paused\n"
    assert list(state(client)) == ["paused:news"]
    assert streamq("group", "resume", "mails").out == "jobs as mails: was not paused\n"
    assert streamq("group", "resume", "mails", "-t", "news").out == f"{of}: resumed\n"


def test_of_another_stream(streamq: Streamq, client: redis.Redis) -> None:
    client.xgroup_create("other", "mails", mkstream=True)
    result = streamq("group", "pause", "mails", "--stream", "other")
    assert result.out == "other as mails: paused\n"
    assert state(client) == {}


@pytest.mark.parametrize("command", [("pause",), ("resume",), ("set", "--rate", "5/s")])
def test_a_group_that_is_not_there(streamq: Streamq, command: Sequence[str]) -> None:
    name, *options = command
    result = streamq("group", name, "nobody", *options)
    assert (result.code, result.out) == (1, "")
    assert result.err == "streamq: the stream jobs has no group nobody: its only group is mails\n"


# -- other rules --------------------------------------------------------------


def test_set_and_back_to_the_program(streamq: Streamq, client: redis.Redis) -> None:
    result = streamq("group", "set", "mails", "--rate", "20/s", "--max-in-flight", "5")
    assert result == (0, "jobs as mails: set by hand: rate 20/s, max_in_flight 5\n", "")
    assert state(client) == {"limit:rate": '"20/s"', "limit:max_in_flight": "5"}
    result = streamq("group", "set", "mails", "--rate", "none", "--max-in-flight", "default")
    assert result.out == "jobs as mails: set by hand: rate none\n"
    result = streamq("group", "set", "mails", "--rate", "default")
    assert result.out == "jobs as mails: as its program declares\n"
    assert not client.exists(STATE)


def test_each_rule_can_be_set(streamq: Streamq, client: redis.Redis) -> None:
    result = streamq(
        "group", "set", "mails", "--rate", "1000/h burst 50", "--rate-per-key", "5/min",
        "--max-in-flight", "50", "--order", "on", "--on-failure", "skip", "--key-from",
        "customer.id", "--max-held", "1000", "--limit-per-key", "1",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert {name: json.loads(value) for name, value in state(client).items()} == {
        "limit:rate": "1000/h burst 50", "limit:rate_per_key": "5/min",
        "limit:max_in_flight": 50, "limit:order": True, "limit:on_failure": "skip",
        "limit:key_from": "customer.id", "limit:max_held": 1000, "limit:limit_per_key": 1,
    }  # fmt: skip
    assert "order on" in result.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "give a rule to change, such as --rate 20/s; see streamq group set --help"),
        (("--rate", "fast"), "rate='fast': give a rate such as '100/s', '5/min' or '1000/h burst"),
        (("--rate", ""), "rate='': give a rate"),
        (("--rate", "0/s"), "rate='0/s': nothing would ever run; to stop a group, pause it"),
        (("--rate-per-key", "5"), "rate_per_key='5': give a rate"),
        (("--rate", "9999999/s"), "give 1,000,000/s at most"),
        (("--max-in-flight", "0"), "max_in_flight=0: give one or more"),
        (("--max-in-flight", "-1"), "max_in_flight='-1': give one or more"),
        (("--max-in-flight", "many"), "max_in_flight='many': give one or more"),
        (("--limit-per-key", "1.5"), "limit_per_key='1.5': give one or more"),
        (("--max-held", "99999999999"), "max_held='99999999999': give one or more"),
        (("--order", "yes"), "--order yes: give on, off, none or default"),
        (("--order", "on", "--limit-per-key", "2"), "limit_per_key=2 contradicts it"),
        (("--on-failure", "stop"), "on_failure='stop': give 'block' or 'skip'"),
        (("--key-from", "a..b"), "key_from='a..b': give a field of the data"),
        (("--rate", "\x1b[31m"), r"rate='\x1b[31m': give a rate"),
    ],
)
def test_what_cannot_be_set(
    streamq: Streamq, client: redis.Redis, options: Sequence[str], said: str
) -> None:
    result = streamq("group", "set", "mails", *options)
    assert (result.code, result.out) == (2, "")
    assert said in result.err
    assert result.err.count("\n") == 1
    assert state(client) == {}


@pytest.mark.parametrize("type", ["a\nb", "x" * 1000])
def test_a_type_that_cannot_be(streamq: Streamq, client: redis.Redis, type: str) -> None:
    result = streamq("group", "pause", "mails", "--type", type)
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert state(client) == {}


def test_a_contradiction_with_what_was_set_before(streamq: Streamq) -> None:
    streamq("group", "set", "mails", "--order", "on")
    result = streamq("group", "set", "mails", "--limit-per-key", "3")
    assert result.code == 2
    assert "limit_per_key=3 contradicts it" in result.err


# -- what the other commands show ---------------------------------------------


def test_the_lists_say_what_was_set(streamq: Streamq) -> None:
    streamq("group", "pause", "mails")
    streamq("group", "pause", "mails", "--type", "news")
    streamq("group", "set", "mails", "--rate", "20/s")
    for command in (("group", "list"), ("info",), ("pending",)):
        out = streamq(*command).out
        assert re.search(r"paused for \d[\d.]* s\b", out), out
        assert re.search(r"the type news paused for \d[\d.]* s\b", out), out
        assert "set by hand: rate 20/s" in out


def test_json_has_what_was_set(streamq: Streamq) -> None:
    streamq("group", "pause", "mails", "--type", "news")
    streamq("group", "set", "mails", "--rate", "none", "--order", "on")
    [row] = [json.loads(line) for line in streamq("group", "list", "--json").out.splitlines()]
    assert (row["held"], row["state"]["paused_since"]) == (0, None)
    assert list(row["state"]["paused_types"]) == ["news"]
    assert row["state"]["limits"] == {"rate": None, "order": True}
    [info] = json.loads(streamq("info", "--json").out)["streams"]
    assert info["groups"][0]["state"] == row["state"]


@pytest.fixture
def held(client: redis.Redis) -> list[str]:
    """The IDs of a job that runs, and of one that is held for each reason there is."""
    group = FlowGroup(
        client, ("news",), name="hooks", order=True, rate_per_key="1/h", max_in_flight=1
    )
    [earlier] = add_keyed(client, "w")
    group.admit()
    group.settle_and_admit("a", succeeded(earlier))
    ids = add_keyed(client, *"xxxwy")
    ids += add_keyed(client, "z", type="news")
    assert group.admit().ids == ids[:1]
    return ids


def test_held_jobs_are_counted(streamq: Streamq, held: list[str]) -> None:
    title, row = streamq("group", "list").out.splitlines()[:2]
    assert dict(zip(title.split(), row.split(), strict=True))["HELD"] == "5"
    assert "HELD" in streamq("info").out
    out = streamq("pending", "--group", "hooks", "--state", "running").out
    assert "1 job shown of 6 pending" in out
    assert "hooks: 6 pending (1 running, 5 held), 0 queued" in out


def test_what_held_jobs_wait_for(streamq: Streamq, held: list[str]) -> None:
    out = streamq("pending", "--group", "hooks", "--state", "held", "--json").out
    jobs = [json.loads(line) for line in out.splitlines()]
    assert [(job["id"], job["attempt"], job["held_for"], job["place"]) for job in jobs] == [
        (held[1], 0, "key", 1),
        (held[2], 0, "key", 2),
        (held[3], 0, "rate", None),
        (held[4], 0, "room", 1),
        (held[5], 0, "paused", None),
    ]
    assert {(job["state"], job["consumer"]) for job in jobs} == {("held", None)}
    assert 3500 < jobs[2]["next_attempt"] <= 3600
    out = streamq("pending", "--group", "hooks").out
    for waits in ("key, 1st", "key, 2nd", "rate, ", "room, 1st", "resume"):
        assert waits in out


def test_the_table_of_held_jobs_fits_a_terminal(streamq: Streamq, held: list[str]) -> None:
    code, shown = at_terminal(["pending", "--group", "hooks"])
    assert code == 0
    table = shown.partition("\n\n")[0]
    assert max(map(len, ANSI.sub("", table).splitlines())) <= 80, shown


def test_held_jobs_can_be_given_up(streamq: Streamq, held: list[str], client: redis.Redis) -> None:
    result = streamq("pending", "dead-letter", *held[1:3], "--group", "hooks")
    assert (result.code, result.err) == (0, "")
    assert client.xlen("{jobs}:group:hooks:dlq") == 2
