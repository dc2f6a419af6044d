"""Those who wait for the end of a job are told, and nobody else costs anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from streamq import lua
from streamq.wire.keys import stream_keys
from tests.lua.support import (
    Group,
    add,
    command,
    dead,
    failed,
    given_back,
    not_ours,
    recorded,
    run,
    succeeded,
)
from tests.servers import RedisServer


@pytest.fixture
def group(client: redis.Redis) -> Group:
    return Group(client)


class Ear:
    """Subscribed to the group's channel, and to those of some jobs."""

    def __init__(self, server: RedisServer, group: Group) -> None:
        self._group = group
        self._client = server.client()
        self._pubsub: Any = self._client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]  # redis-py's
        self._pubsub.ssubscribe(group.keys.results)
        self._read()

    def listen_to(self, *ids: str) -> None:
        for id in ids:
            self._pubsub.ssubscribe(self._group.keys.result(id))
            self._read()

    def _read(self) -> Any:
        return self._pubsub.get_sharded_message(timeout=0.05)

    def heard(self) -> dict[str, str]:
        """What was heard, by the job's ID."""
        found = {}
        while message := self._read():
            found[message["channel"].removeprefix(f"{self._group.keys.results}:")] = message["data"]
        return found

    def close(self) -> None:
        self._pubsub.close()
        self._client.close()


@pytest.fixture
def ear(server: RedisServer, group: Group) -> Iterator[Ear]:
    ear = Ear(server, group)
    yield ear
    ear.close()


def calls(client: redis.Redis, name: str) -> int:
    stats: Any = client.info("commandstats")
    return int(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"])


def test_settling_tells_of_those_that_have_ended(
    group: Group, client: redis.Redis, ear: Ear
) -> None:
    ids = add(client, 8)
    group.read()
    ear.listen_to(*ids)
    plain, kept, result, lost, parked, back, other, stolen = ids
    group.take_by_hand(stolen, "thief")
    group.settle(
        "a", succeeded(plain), recorded(kept), recorded(result, result="1"), dead(lost),
        failed(parked), given_back(back), not_ours(other, "nowhere"), succeeded(stolen),
        ttl=60_000,
    )  # fmt: skip
    (letter, _), (no_group, _) = group.letters()
    assert ear.heard() == {
        plain: "done", kept: "done", result: "done", lost: f"dead {letter}",
        other: f"dead {no_group}",
    }  # fmt: skip


def test_by_hand_and_by_a_lost_worker(group: Group, client: redis.Redis, ear: Ear) -> None:
    by_hand, lost = add(client, 2)
    group.read()
    ear.listen_to(by_hand, lost)
    group.to_dead_letters(by_hand)
    group.age(lost, 5000)
    group.reclaim("b", deliveries=1)
    (first, _), (second, _) = group.letters()
    assert ear.heard() == {by_hand: f"dead {first}", lost: f"dead {second}"}


def test_a_group_that_is_given_up(group: Group, client: redis.Redis, ear: Ear) -> None:
    [id] = add(client)
    group.read()
    ear.listen_to(id)
    run(client, lua.abandon(group.keys, stream_keys("jobs"), 0, 0))
    [(letter, _)] = group.letters()
    assert ear.heard() == {id: f"dead {letter}"}


def test_where_nobody_waits_a_batch_costs_one_question(group: Group, client: redis.Redis) -> None:
    ids = add(client, 50)
    group.read()
    command(client, "CONFIG", "RESETSTAT")
    group.settle("a", *map(succeeded, ids))
    assert (calls(client, "pubsub|shardnumsub"), calls(client, "spublish")) == (1, 0)
    [id] = add(client)
    group.read()
    command(client, "CONFIG", "RESETSTAT")
    group.settle("a", failed(id))
    assert (calls(client, "pubsub|shardnumsub"), calls(client, "spublish")) == (1, 0)


@pytest.mark.parametrize("token", ["-pubsub", "-spublish", "resetchannels"])
def test_who_may_not_tell_settles_all_the_same(
    group: Group, client: redis.Redis, server: RedisServer, ear: Ear, token: str
) -> None:
    ids = add(client, 3)
    group.read()
    ear.listen_to(*ids)
    command(client, "ACL", "SETUSER", "mute", "reset", "on", ">pw", "~*", "&*", "+@all", token)
    try:
        with server.client(username="mute", password="pw") as mute:
            call = group.settle_call("a", [*map(succeeded, ids)])
            assert run(mute, call) == []
    finally:
        command(client, "ACL", "DELUSER", "mute")
    assert (group.pending(), client.xlen("jobs"), ear.heard()) == ({}, 0, {})


# -- note_progress.lua --------------------------------------------------------


def note(group: Group, consumer: str, *jobs: tuple[str, int, float, str]) -> Any:
    pairs = [part for id, count, _, _ in jobs for part in (id, count)]
    notes = [part for _, _, done, text in jobs for part in (done, text)]
    ids = [id for id, _, _, _ in jobs]
    return run(group.client, lua.note_progress(group.keys, consumer, 60_000, ids, pairs, notes))


def test_progress_is_noted_and_told(group: Group, client: redis.Redis, ear: Ear) -> None:
    first, second, stolen = add(client, 3)
    group.read()
    ear.listen_to(first, stolen)
    group.take_by_hand(stolen, "thief")
    lost = note(
        group, "a", (first, 1, 0.4, "a note"), (second, 2, 0.5, ""), (stolen, 1, 0.6, ""),
        ("1-1", 1, 0.7, ""),
    )  # fmt: skip
    assert lost == [second, stolen, "1-1"]
    assert group.record(first) == {
        "progress": "0.4", "progress_note": "a note", "progress_of": "1",
    }  # fmt: skip
    assert 0 < client.pttl(group.keys.job(first)) <= 60_000
    assert not client.exists(group.keys.job(second), group.keys.job(stolen))
    assert ear.heard() == {first: "at 0.4 a note"}


def test_progress_in_a_record_of_another_type_is_left_out(
    group: Group, client: redis.Redis
) -> None:
    [id] = add(client)
    group.read()
    client.set(group.keys.job(id), "x")
    assert note(group, "a", (id, 1, 0.4, "")) == []
    assert client.get(group.keys.job(id)) == "x"
