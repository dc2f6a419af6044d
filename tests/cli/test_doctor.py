"""``streamq doctor``: what it prints, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable

import redis

from tests.cli.support import Result, at_terminal
from tests.servers import RedisServer
from tests.situations import add

Streamq = Callable[..., Result]
MakeServer = Callable[..., RedisServer]


def test_a_server_in_order(streamq: Streamq, make_server: MakeServer) -> None:
    server = make_server("--appendonly", "yes", "--maxmemory", "1gb")
    code, out, err = streamq("doctor", "--url", server.unix_url)
    assert (code, err) == (0, "")
    first, second = out.splitlines()
    assert first == (
        "In order: version, eviction, memory, persistence, replication, clock, slow commands, "
        "rights, records, streams without a group, groups that nobody reads, paused groups, "
        "pending jobs, consumers, dead letters, jobs that nobody can handle"
    )
    assert second == f"Nothing bites on {server.socket}" or second.startswith("Nothing bites on ")


def test_what_bites_and_what_to_do(streamq: Streamq, make_server: MakeServer) -> None:
    server = make_server("--maxmemory-policy", "allkeys-lru", "--appendonly", "yes")
    with server.client() as client:
        add(client, {"a": "b"})
        client.xadd("mails", {"a": "b"})
        client.xgroup_create("mails", "audit", "0")
    code, out, err = streamq("doctor", "--url", server.unix_url)
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert lines[0].startswith("Problem: eviction: maxmemory-policy is allkeys-lru: ")
    assert lines[1].startswith("  To do: CONFIG SET maxmemory-policy noeviction")
    assert "Warning: streams without a group (jobs): 1 job, and no group reads it" in out
    assert "Warning: groups that nobody reads (mails as audit): 1 job queued and no worker" in out
    assert lines[-1].startswith("1 problem and 2 warnings on ")

    code, out, _ = streamq("doctor", "--url", server.unix_url, "--stream", "mails")
    assert code == 1
    assert "(jobs)" not in out


def test_json(streamq: Streamq, client: redis.Redis) -> None:
    add(client, {"a": "b"})
    code, out, err = streamq("doctor", "--json")
    assert (code, err) == (1, "")
    shown = json.loads(out)
    assert shown["healthy"] is False
    levels = {row["name"]: row["level"] for row in shown["findings"]}
    assert levels["streams without a group"] == "warning"
    assert levels["version"] == "ok"


def test_a_note_is_no_reason_to_fail(streamq: Streamq, make_server: MakeServer) -> None:
    server = make_server("--appendonly", "yes", "--rename-command", "SLOWLOG", "")
    code, out, _ = streamq("doctor", "--url", server.unix_url)
    assert code == 0
    assert "Note: slow commands: not checked: the server refuses SLOWLOG GET" in out


def test_a_stream_that_does_not_exist(streamq: Streamq) -> None:
    code, out, err = streamq("doctor", "--stream", "nowhere")
    assert (code, out) == (1, "")
    assert err.startswith("streamq: ")


def test_wrong_usage(streamq: Streamq) -> None:
    assert streamq("doctor", "jobs").code == 2
    assert streamq("doctor", "--lease", "soon").code == 2


def test_names_from_the_server_are_shown_safely(streamq: Streamq, client: redis.Redis) -> None:
    client.xadd("mails", {"a": "b"})
    client.xgroup_create("mails", "evil\x1b[31m", "0")
    out = streamq("doctor").out
    assert "(mails as evil\\x1b[31m)" in out
    assert "\x1b" not in out + streamq("doctor", "--json").out


def test_at_a_terminal(streamq: Streamq, client: redis.Redis) -> None:
    add(client, {"a": "b"})
    code, shown = at_terminal(["doctor"])
    assert code == 1
    assert "no group reads it" in shown
