"""Entry IDs beyond what a double holds, up to the largest there is, through every script."""

from __future__ import annotations

import pytest
import redis

from streamq import lua
from streamq.wire.entry import LARGEST_ID
from tests.lua.support import (
    HUGE,
    PARKED,
    Group,
    add_at,
    command,
    failed,
    given_back,
    ids_of,
    raw_entries,
    recorded,
    run,
    succeeded,
)  # fmt: skip


@pytest.fixture
def group(client: redis.Redis) -> Group:
    """A group that has been given all of them."""
    group = Group(client)
    add_at(client, HUGE)
    assert group.read() == HUGE
    return group


def test_settled_one_by_one_and_together(client: redis.Redis, group: Group) -> None:
    assert group.settle("a", succeeded(HUGE[1]), recorded(HUGE[2]), ttl=1000) == {}
    assert ids_of(client) == [HUGE[0], *HUGE[3:]]
    assert group.settle("a", *map(succeeded, HUGE)) == {HUGE[1]: "", HUGE[2]: ""}
    assert ids_of(client) == []


def test_kept_for_a_group_that_has_not_come_so_far(client: redis.Redis, group: Group) -> None:
    other = Group(client, "other")
    other.read(count=4)
    other.settle("a", *map(succeeded, HUGE[:4]))
    group.settle("a", *map(succeeded, HUGE))
    assert ids_of(client) == HUGE[4:]


def test_a_lease_is_renewed(group: Group) -> None:
    assert group.extend("a", *((id, 1) for id in HUGE)) == [[], []]


def test_parked_and_claimed_when_due(group: Group) -> None:
    assert group.settle("a", *(failed(id) for id in HUGE[:4]), *map(given_back, HUGE[4:])) == {}
    assert set(group.parked()) == set(HUGE)
    _, claimed, deleted = group.due("b")
    assert sorted(entry[0] for entry in claimed) == sorted(HUGE)
    assert deleted == []


@pytest.mark.parametrize("most", [1, 2, 4, 8, 100])
def test_reclaimed(group: Group, most: int) -> None:
    for id in HUGE:
        group.age(id, 5000)
    claimed: list[str] = []
    for _ in range(len(HUGE) + 1):
        claimed += [entry[0] for entry in group.reclaim("b", most, pause=1)[0]]
        group.client.delete(group.keys.reclaim_lock)
    assert claimed == HUGE


def test_reclaim_goes_past_those_that_must_wait(group: Group) -> None:
    for id in HUGE:
        group.age(id, 5000)
    claimed = group.reclaim("b", 8, deliveries=2, last_chances=0)[0]
    assert claimed == []


def test_parked_without_a_time_are_given_one(client: redis.Redis) -> None:
    group = Group(client)
    ids = [f"{2**64 - 1}-{2**64 - n}" for n in range(1000, 0, -1)]  # as many as one look heals
    assert ids[-1] == LARGEST_ID
    add_at(client, ids)
    group.read()
    group.settle("a", *map(given_back, ids))
    client.delete(group.keys.retry)
    assert group.reclaim("b")[5] == "-"
    assert set(group.parked()) == set(ids)


def test_released_and_retried_now_and_dead(client: redis.Redis, group: Group) -> None:
    assert group.release("a") == [8, 8]
    assert group.retry_now(*HUGE) == [1] * 8
    assert set(group.pending().values()) == {(PARKED, 0)}
    assert group.to_dead_letters(*HUGE) == [1] * 8
    assert ids_of(client) == []
    assert [dict(fields)["id"] for _, fields in group.letters()] == HUGE


def test_dead_letters_with_such_ids_are_redriven_and_purged(client: redis.Redis) -> None:
    group = Group(client)
    meta = ("id", "1-1", "reason", "r", "error", "e", "attempts", 1, "consumer", "c")
    for id in HUGE:
        command(client, "XADD", group.keys.dlq, id, *meta, "data", "{}")
    answers = group.redrive(*HUGE[::2])
    assert ids_of(client) == answers
    assert run(client, lua.purge(group.keys.dlq, HUGE[1::2])) == [1] * 4
    assert not client.exists(group.keys.dlq)


def test_progress(client: redis.Redis, group: Group) -> None:
    Group(client, "half").read(count=4)
    Group(client, "new", start=LARGEST_ID)
    _, *rows = run(client, lua.progress("jobs", 100))
    assert {row[0]: row[1:] for row in rows} == {
        "g": [LARGEST_ID, 0, "", HUGE[0], len(HUGE), len(HUGE)],
        "half": [HUGE[3], 4, HUGE[4], HUGE[0], 4, 4],
        "new": [LARGEST_ID, 0, "", "", 0, -1],
    }


@pytest.mark.parametrize("most", [1, 4, 100])
def test_a_lost_lag_is_counted_up_to_the_largest(client: redis.Redis, most: int) -> None:
    # As many on either side of the group's place as one step counts.
    ids = [f"{2**64 - 1}-{2**64 - n}" for n in range(200, 0, -1)]
    add_at(client, ids)
    group = Group(client)
    group.read(count=100)
    client.xdel("jobs", ids[150])
    [row] = run(client, lua.progress("jobs", 10_000))[1:]
    assert row[2] == 99
    assert run(client, lua.progress("jobs", most))[1][2] in (99, -1)


@pytest.mark.parametrize("count", [1, 2, 4, 8, 9])
@pytest.mark.parametrize("newest_first", [False, True])
def test_pages(client: redis.Redis, count: int, newest_first: bool) -> None:
    add_at(client, HUGE)
    found: list[str] = []
    start, end = ("+", "-") if newest_first else ("-", "+")
    while start:
        call = lua.page("jobs", start, end, count, newest_first=newest_first)
        entries, start = run(client, call)
        found += [entry[0] for entry in entries]
    assert found == (HUGE[::-1] if newest_first else HUGE)


@pytest.mark.parametrize("count", [1, 2, 4, 8, 9])
def test_pruned(client: redis.Redis, group: Group, count: int) -> None:
    Group(client, "gone")
    group.settle("a", *map(succeeded, HUGE[1:]))
    client.xgroup_destroy("jobs", "gone")
    pruned, start = 0, "-"
    while start:
        more, start = run(client, lua.prune("jobs", start, count))
        pruned += more
    assert pruned == 7
    assert ids_of(client) == HUGE[:1]


def test_peek(client: redis.Redis, group: Group) -> None:
    _, *rows = run(client, lua.peek(group.keys, 100, HUGE))
    assert [(row[0], row[2]) for row in rows] == [("a", 1)] * 8
    assert raw_entries(client, "jobs")[-1][0] == LARGEST_ID
