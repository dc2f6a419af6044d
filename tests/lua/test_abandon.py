"""abandon.lua: a group without a live consumer keeps entries no longer than it may."""

from __future__ import annotations

from typing import Any

import redis

from streamq import lua
from streamq.wire.keys import stream_keys
from tests.lua.support import Group, add, ids_of, run, succeeded, write

KEYS = stream_keys("jobs")
LONG = 3_600_000


def look(client: redis.Redis, group: Group, after: int = 0, lease: int = 0) -> Any:
    return run(client, lua.abandon(group.keys, KEYS, after, lease))


def look_to_the_end(client: redis.Redis, group: Group) -> tuple[int, int]:
    """Until nothing is left to give up: how many unread, how many pending."""
    unread = dead = 0
    while True:
        _, more_unread, more_dead, more = look(client, group)
        unread, dead = unread + more_unread, dead + more_dead
        if not more:
            return unread, dead


def notes(client: redis.Redis) -> dict[str, str]:
    found: Any = client.hgetall(KEYS.settings)
    return dict(found)


def test_its_unread_are_given_up_and_its_pending_are_dead_letters(client: redis.Redis) -> None:
    audit, images = Group(client, "audit"), Group(client, "images")
    ids = add(client, 1200)
    audit.read("lost", 3)
    audit.park(ids[0], 60_000)
    images.read("a", 1100)
    images.settle("a", *map(succeeded, ids[:500]))
    images.settle("a", *map(succeeded, ids[500:1000]))

    assert look_to_the_end(client, audit) == (1197, 3)
    assert ids_of(client) == ids[1000:], "what the other group has not settled stays"
    assert audit.pending() == {}
    assert audit.parked() == {}
    assert [dict(fields)["id"] for _, fields in audit.letters()] == ids[:3]
    assert dict(audit.letters()[0][1])["reason"] == "group abandoned"
    assert notes(client)["given_up:audit"] == "1197"
    assert int(notes(client)["abandoned:audit"]) > 0

    more = add(client, 2)
    assert look(client, audit) == [1, 2, 0, 0], "and those that come later"
    images.read("a", 1000)
    assert images.settle("a", *map(succeeded, [*ids[1000:], *more])) == {}
    assert ids_of(client) == []


def test_a_step_is_bounded(client: redis.Redis) -> None:
    group = Group(client)
    ids = add(client, 620)
    group.read("lost", 60)
    assert look(client, group) == [1, 0, 50, 1]
    assert look(client, group) == [1, 500, 10, 1]
    assert look(client, group) == [1, 60, 0, 0]
    assert len(ids) == 620
    assert ids_of(client) == []


def test_time_counts_only_while_somebody_looks_and_there_is_something_to_do(
    client: redis.Redis,
) -> None:
    group = Group(client)
    assert look(client, group, after=LONG) == [0, 0, 0, 0]
    assert notes(client) == {}, "it has nothing to do"
    add(client)
    assert look(client, group, after=LONG) == [0, 0, 0, 0]
    assert notes(client)["silent:g"] == "0"
    # Nobody has looked for a day: that counts as one minute.
    client.hincrby(KEYS.settings, "looked:g", -24 * LONG)
    assert look(client, group, after=LONG) == [0, 0, 0, 0]
    assert notes(client)["silent:g"] == "60000"
    client.hset(KEYS.settings, "silent:g", LONG)
    assert look(client, group, after=LONG) == [1, 1, 0, 0]
    assert set(notes(client)) == {"abandoned:g", "given_up:g"}


def test_a_live_consumer_ends_it(client: redis.Redis) -> None:
    group = Group(client)
    add(client, 2)
    group.read("a", 1)
    assert look(client, group, after=0, lease=LONG) == [0, 0, 0, 0]
    assert notes(client) == {}
    assert look(client, group) == [1, 1, 1, 0]
    assert look(client, group, lease=LONG) == [0, 0, 0, 0]
    assert notes(client) == {}


def test_the_holder_of_parked_jobs_is_no_consumer(client: redis.Redis) -> None:
    group = Group(client)
    [id] = add(client)
    group.read("a")
    group.park(id, 60_000)
    client.xgroup_delconsumer("jobs", "g", "a")
    assert look(client, group, lease=LONG) == [1, 0, 1, 0]


def test_what_is_for_another_group_was_never_its_own(client: redis.Redis) -> None:
    group, other = Group(client), Group(client, "other")
    id = write(client, "type", "t", "data", "{}", "for", "other")
    assert look(client, group) == [1, 0, 0, 0]
    assert other.read() == [id]


def test_no_such_group(client: redis.Redis) -> None:
    group = Group(client)
    client.xgroup_destroy("jobs", "g")
    assert look(client, group) is None
