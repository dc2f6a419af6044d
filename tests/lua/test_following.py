"""Those who follow a group are told what becomes of its jobs, and nobody else costs anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from streamq import lua
from streamq.wire.keys import stream_keys
from streamq.wire.tail import Told, read_message
from tests.lua.support import (
    Group,
    Verdict,
    add,
    command,
    dead,
    failed,
    given_back,
    not_ours,
    recorded,
    run,
    succeeded,
    write,
)
from tests.servers import RedisServer

FIRST = {"attempt": 1, "consumer": "a", "type": "t"}
TIMES = {"took": 500}


@pytest.fixture
def group(client: redis.Redis) -> Group:
    return Group(client)


class Follower:
    """Subscribed to the group's channel for those who follow."""

    def __init__(self, server: RedisServer, group: Group) -> None:
        self._client = server.client(decode_responses=False)
        self._pubsub: Any = self._client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]  # redis-py's
        for channel in (group.keys.results, group.keys.tail):
            self._pubsub.ssubscribe(channel)
            self._read()

    def _read(self) -> Any:
        return self._pubsub.get_sharded_message(timeout=0.05)

    def messages(self) -> list[str]:
        """What was heard."""
        found = []
        while message := self._read():
            found.append(message["data"].decode("utf-8", "backslashreplace"))
        return found

    def told(self) -> list[Told]:
        """What has become of jobs."""
        return [told for message in self.messages() for told in read_message(message)[1]]

    def close(self) -> None:
        self._pubsub.close()
        self._client.close()


@pytest.fixture
def follower(server: RedisServer, group: Group) -> Iterator[Follower]:
    follower = Follower(server, group)
    yield follower
    follower.close()


def told(state: str, id: str, **fields: Any) -> Told:
    empty: dict[str, Any] = dict.fromkeys(Told._fields)
    return Told(**empty | FIRST | {"state": state, "id": id} | fields)


def skipped(id: str) -> Verdict:
    return Verdict(id, 1, ("k", 1), ())


def test_each_end_of_an_attempt(group: Group, client: redis.Redis, follower: Follower) -> None:
    ids = add(client, 9)
    group.read()
    one, two, kept, late, lost, parked, back, ignored, stolen = ids
    group.take_by_hand(stolen, "thief")
    now = command(client, "TIME")[0]
    group.settle(
        "a", succeeded(one), succeeded(two), recorded(kept),
        recorded(late, state="expired", note="too late"), dead(lost),
        failed(parked, delay=3_600_000), given_back(back), skipped(ignored), succeeded(stolen),
        ttl=60_000,
    )  # fmt: skip
    [message] = follower.messages()
    at, rows = read_message(message)
    assert abs(at - int(now) * 1000) < 60_000
    due = rows[5].due
    assert due is not None
    assert abs(due - at - 3_600_000) < 60_000
    assert rows == [
        told("succeeded", one), told("succeeded", two),
        told("succeeded", kept, took=1000), told("expired", late, took=1000, error="too late"),
        told("dead", lost, **TIMES, reason="gave up", error="oops"),
        told("retrying", parked, **TIMES, due=due, error="oops"),
        told("released", back), told("skipped", ignored),
    ]  # fmt: skip


def test_a_cancelled_one(group: Group, client: redis.Redis, follower: Follower) -> None:
    first, second = add(client, 2)
    group.read()
    client.sadd(group.keys.cancelled, first, second)
    group.settle("a", failed(first), given_back(second))
    assert follower.told() == [
        told("cancelled", first, **TIMES, error="oops"), told("cancelled", second),
    ]  # fmt: skip


def test_one_for_another_group(group: Group, client: redis.Redis, follower: Follower) -> None:
    Group(client, "other")
    theirs, nobodys = add(client, 2)
    group.read()
    group.settle("a", not_ours(theirs, "other"), not_ours(nobodys, "nowhere"))
    assert follower.told() == [
        told("skipped", theirs), told("dead", nobodys, reason="no such group"),
    ]  # fmt: skip


def test_a_lost_worker(group: Group, client: redis.Redis, follower: Follower) -> None:
    last, again = (write(client, "type", type, "data", "{}") for type in ("once", "t"))
    group.read()
    for id in (last, again):
        group.age(id, 5000)
    group.reclaim("b", by_type={"once": 1})
    error = "its worker stopped answering during delivery 1, the last one allowed"
    assert follower.told() == [
        told("dead", last, type="once", reason="worker lost", error=error),
        told("reclaimed", again),
    ]


def test_by_hand(group: Group, client: redis.Redis, follower: Follower) -> None:
    parked, running, left, queued = add(client, 4)
    group.read(count=3)
    group.settle("a", failed(parked, delay=60_000))
    follower.messages()
    run(client, lua.cancel(group.keys, 60_000, 60_000, [parked, running, queued]))
    group.to_dead_letters(running)
    group.release("a", known=[running])
    assert follower.told() == [
        told("cancelled", parked, consumer=None),
        told("dead", running, reason="by hand", error="by me"),
        told("released", left),
    ]


def test_an_abandoned_group(group: Group, client: redis.Redis, follower: Follower) -> None:
    parked, running, _ = add(client, 3)
    group.read(count=2)
    group.settle("a", failed(parked, delay=60_000))
    follower.messages()
    run(client, lua.abandon(group.keys, stream_keys("jobs"), 0, 0))
    why = {"reason": "group abandoned", "error": "the group had no live consumer for too long"}
    assert follower.told() == [
        told("dead", parked, consumer=None, **why), told("dead", running, **why),
    ]  # fmt: skip


def test_messages_are_bounded(group: Group, client: redis.Redis, follower: Follower) -> None:
    ids = add(client, 250)
    group.read()
    group.settle("a", *map(succeeded, ids))
    messages = follower.messages()
    assert [len(read_message(message)[1]) for message in messages] == [100, 100, 50]
    ids = add(client, 100)
    group.read()
    group.settle("a", *(dead(id, error="\N{SNOWMAN}" * 666) for id in ids))
    messages = follower.messages()
    assert sum(len(read_message(message)[1]) for message in messages) == 100
    assert max(len(message.encode()) for message in messages) < 20_000
    assert all(one.error == "\N{SNOWMAN}" * 99 + "…" for one in read_message(messages[0])[1])


def test_what_would_break_a_message_is_taken_out(
    group: Group, client: redis.Redis, server: RedisServer, follower: Follower
) -> None:
    id = write(client, "type", "a\x1e1\x1f\n", "data", "{}")
    bytes_of_old = write(client, "type", b"\xff\xfe", "data", "{}")
    with server.client(decode_responses=False) as reader:
        reader.xreadgroup("g", "a", {"jobs": ">"})
    group.settle("a", dead(id, error="one\x1ftwo\x1ethree"), succeeded(bytes_of_old))
    with_escapes, raw = follower.told()
    assert (with_escapes.type, with_escapes.error) == ("a 1  ", "one two three")
    assert (raw.id, raw.type) == (bytes_of_old, r"\xff\xfe")


def test_where_nobody_follows_nothing_is_told(group: Group, client: redis.Redis) -> None:
    ids = add(client, 50)
    group.read()
    command(client, "CONFIG", "RESETSTAT")
    group.settle("a", *map(succeeded, ids))
    stats: Any = client.info("commandstats")
    assert stats["cmdstat_pubsub|shardnumsub"]["calls"] == 1
    assert "cmdstat_spublish" not in stats
    assert "cmdstat_xrange" not in stats


@pytest.mark.parametrize("token", ["-pubsub", "-spublish", "resetchannels"])
def test_who_may_not_tell_settles_all_the_same(
    group: Group, client: redis.Redis, server: RedisServer, follower: Follower, token: str
) -> None:
    ids = add(client, 3)
    group.read()
    command(client, "ACL", "SETUSER", "mute", "reset", "on", ">pw", "~*", "&*", "+@all", token)
    try:
        with server.client(username="mute", password="pw") as mute:
            assert run(mute, group.settle_call("a", [*map(succeeded, ids)])) == []
    finally:
        command(client, "ACL", "DELUSER", "mute")
    assert (group.pending(), follower.messages()) == ({}, [])


@pytest.mark.parametrize(
    "message", ["", "x", "1\x1ea\x1fb", "nan\x1e" + "\x1f" * 9, "-1", "1e300\x1e\x1f\x1f"]
)
def test_a_message_of_others_says_nothing(message: str) -> None:
    assert read_message(message)[1] == []
