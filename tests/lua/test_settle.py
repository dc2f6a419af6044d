"""settle.lua: many verdicts in one call, each applied wholly or refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from tests.lua.support import (
    AWKWARD,
    PARKED,
    SIZES,
    Group,
    Verdict,
    add,
    add_at,
    command,
    dead,
    failed,
    given_back,
    ids_of,
    not_ours,
    raw_entries,
    recorded,
    run,
    succeeded,
    types_left,
    write,
)
from tests.servers import RedisServer

EVENT = ("type", "next", "data", '{"n":1}')


@pytest.fixture
def group(client: redis.Redis) -> Group:
    return Group(client)


# -- each verdict -------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_success_acks_and_deletes(group: Group, client: redis.Redis, size: int) -> None:
    add(client, size)
    assert group.settle("a", *map(succeeded, group.read())) == {}
    assert group.pending() == {}
    assert types_left(client) == {"jobs": "stream"}
    assert ids_of(client) == []


def test_success_with_a_record(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read()
    assert group.settle("a", recorded(id, result="[1]"), ttl=60_000) == {}
    assert group.record(id) == {
        "state": "succeeded", "type": "t", "data": "{}", "attempts": "1",
        "started_at": "1000", "finished_at": "2000", "result": "[1]",
    }  # fmt: skip
    assert 50_000 < int(client.pttl(group.keys.job(id))) <= 60_000


def test_a_record_can_carry_a_note_and_no_result(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read()
    group.settle("a", recorded(id, state="expired", note="too late"), ttl=60_000)
    record = group.record(id)
    assert (record["state"], record["note"]) == ("expired", "too late")
    assert "result" not in record


def test_success_replaces_what_a_failed_delivery_left(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read()
    group.settle("a", failed(id))
    assert group.record(id)["error"] == "oops"
    group.due("a")
    assert group.settle("a", recorded(id, 2), ttl=60_000) == {}
    record = group.record(id)
    assert "error" not in record
    assert record["attempts"] == "2"


def test_no_record_is_kept_without_a_ttl(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read()
    group.settle("a", failed(id))
    group.due("a")
    assert group.settle("a", recorded(id, 2), ttl=0) == {}
    assert types_left(client) == {"jobs": "stream"}


@pytest.mark.parametrize("size", SIZES)
def test_failure_parks(group: Group, client: redis.Redis, size: int) -> None:
    add(client, size)
    ids = group.read()
    now = int(client.time()[0]) * 1000
    assert group.settle("a", *(failed(id, delay=5000) for id in ids)) == {}
    assert group.pending() == dict.fromkeys(ids, (PARKED, 1))
    assert group.parked().keys() == set(ids)
    assert all(now + 5000 <= due <= now + 15_000 for due in group.parked().values())
    assert group.record(ids[0])["error"] == "oops"
    assert int(group.record(ids[0])["failed_at"]) >= now
    assert int(client.pttl(group.keys.job(ids[0]))) > 5000
    assert ids_of(client) == ids


def test_the_record_keeps_the_trace_of_the_first_failure(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read()
    group.settle("a", Verdict(id, 1, (), ("t", "00-1", "r", 0, "oops", 4), record=True))
    group.due("a")
    group.settle("a", failed(id, 2))
    assert (group.record(id)["trace"], group.record(id)["error"]) == ("00-1", "oops")
    group.due("a")
    group.settle("a", recorded(id, 3), ttl=60_000)
    assert "trace" not in group.record(id)


def test_death_writes_a_letter(group: Group, client: redis.Redis) -> None:
    id = str(client.xadd("jobs", {"type": "t", "data": "{}", "key": "k", "trace": "x"}))
    group.read()
    group.settle("a", failed(id))
    group.due("a")
    assert group.settle("a", dead(id, 2)) == {}
    [(_, fields)] = group.letters()
    assert fields == [
        ("id", id), ("reason", "gave up"), ("error", "oops"), ("attempts", "2"),
        ("consumer", "a"), ("type", "t"), ("data", "{}"), ("key", "k"), ("trace", "x"),
    ]  # fmt: skip
    assert types_left(client) == {"jobs": "stream", group.keys.dlq: "stream"}
    assert ids_of(client) == []
    assert group.pending() == {}


def test_a_letter_tells_where_the_handler_failed(group: Group, client: redis.Redis) -> None:
    ids = add(client, 3)
    group.read()
    deaths = [dead(id, traceback=where) for id, where in zip(ids, ("", "a\nb", ""), strict=True)]
    assert group.settle("a", *deaths) == {}
    (_, plain), (_, told), (_, last) = group.letters()
    assert [name for name, _ in plain[:5]] == ["id", "reason", "error", "attempts", "consumer"]
    assert told[3] == ("traceback", "a\nb")
    assert [pair for pair in told if pair[0] != "traceback"][1:5] == plain[1:5] == last[1:5]


@pytest.mark.parametrize("size", SIZES)
def test_deaths_in_a_batch(group: Group, client: redis.Redis, size: int) -> None:
    add(client, size)
    ids = group.read()
    assert group.settle("a", *map(dead, ids)) == {}
    assert [fields[0][1] for _, fields in group.letters()] == ids
    assert ids_of(client) == []


def test_a_letter_keeps_double_and_strange_fields(group: Group, client: redis.Redis) -> None:
    own = [("id", "mine"), ("reason", ""), ("reason", "twice"), ("\x00", "\n"), ("", "é")]
    id = write(client, *(part for pair in own for part in pair))
    group.read()
    group.settle("a", dead(id))
    [(_, fields)] = group.letters()
    assert fields[:2] == [("id", id), ("reason", "gave up")]
    assert fields[5:] == own


@pytest.mark.parametrize("with_data", [False, True])
def test_an_entry_with_more_fields_than_a_command_of_lua_can_have(
    group: Group, client: redis.Redis, with_data: bool
) -> None:
    own = [part for n in range(10_000) for part in (f"f{n}", n)]
    own += ["type", "t", *(["data", "[7]", "key", "k"] if with_data else [])]
    huge = write(client, *own)
    [other] = add(client)
    group.read()
    assert group.settle("a", dead(other), dead(huge)) == {}
    assert group.pending() == {}
    (_, first), (_, second) = group.letters()
    assert (first[0][1], second[0][1]) == (other, huge)
    fields = dict(second[5:])
    assert fields["type"] == "t"
    if with_data:
        assert fields == {"type": "t", "data": "[7]", "key": "k"}
    else:
        assert fields.keys() == {"type", "data"}
        assert '"f9999":"9999"' in fields["data"]


def test_giving_back_does_not_count(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read()
    assert group.settle("a", given_back(id)) == {}
    assert group.pending() == {id: (PARKED, 0)}
    _, [[again, _, count]], _ = group.due("b")
    assert (again, count) == (id, 1)
    assert group.pending() == {id: ("b", 1)}


def test_an_entry_for_another_group_is_settled_unseen(group: Group, client: redis.Redis) -> None:
    other = Group(client, "other")
    [id] = add(client)
    group.read()
    assert group.settle("a", not_ours(id, "other")) == {}
    assert group.letters() == []
    assert ids_of(client) == [id]
    other.read()
    assert other.settle("a", succeeded(id)) == {}
    assert ids_of(client) == []


def test_an_entry_for_no_group_is_dead(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read()
    assert group.settle("a", not_ours(id, "nobody")) == {}
    [(_, fields)] = group.letters()
    assert fields[1] == ("reason", "no such group")
    assert "nobody" in fields[2][1]
    assert ids_of(client) == []


def test_an_entry_for_no_group_is_buried_once(group: Group, client: redis.Redis) -> None:
    # Neither by a group that has it in hand, nor by one that has not come to it yet.
    busy, late = Group(client, "busy"), Group(client, "late")
    id, after = add(client, 2)
    group.read()
    busy.read()
    assert group.settle("a", not_ours(id, "nobody")) == {}
    assert ids_of(client) == [after]
    assert busy.settle("a", not_ours(id, "nobody")) == {}
    assert late.read() == [after]
    assert [len(each.letters()) for each in (group, busy, late)] == [1, 0, 0]
    assert busy.pending() == {after: ("a", 1)}


def test_all_verdicts_in_one_batch(group: Group, client: redis.Redis) -> None:
    Group(client, "other", start="$")
    add(client, 7)
    ok, kept, retry, gone, back, skip, emits = group.read()
    assert not group.settle(
        "a", succeeded(ok), failed(retry), recorded(kept), dead(gone), given_back(back),
        not_ours(skip, "other"), succeeded(emits).emitting(("next", EVENT), ("jobs", EVENT)),
        ttl=60_000,
    )  # fmt: skip
    assert group.pending() == {retry: (PARKED, 1), back: (PARKED, 0)}
    assert group.record(kept)["state"] == "succeeded"
    assert [dict(fields)["id"] for _, fields in group.letters()] == [gone]
    assert [fields for _, fields in raw_entries(client, "next")] == [
        [("type", "next"), ("data", '{"n":1}')]
    ]
    left = ids_of(client)
    assert {retry, back} <= set(left)
    assert not {emits} & set(group.pending())


def not_ours_but_g(id: str) -> Verdict:
    return not_ours(id, "g")


def test_runs_of_successes_among_other_verdicts(group: Group, client: redis.Redis) -> None:
    ids = add(client, 12)
    group.read()
    group.settle("a", given_back(ids[2]), failed(ids[10]))
    verdicts = [succeeded(id) for id in ids]
    verdicts[4] = recorded(ids[4])
    verdicts[7] = succeeded(ids[7]).emitting(("next", EVENT))
    verdicts[8] = succeeded(ids[8]).emitting(("next", EVENT))
    verdicts[11] = failed(ids[11])
    call = group.settle_call("a", verdicts)
    assert [call.args[i + 1] for i, arg in enumerate(call.args) if arg == "s"] == [4, 2, 1, 3]
    refused = group.settle("a", *verdicts)
    assert refused == {ids[2]: f"={PARKED}", ids[10]: f"={PARKED}"}
    assert ids_of(client) == [ids[2], ids[10], ids[11]]
    assert len(raw_entries(client, "next")) == 2


# -- the fence ----------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("verdict", [succeeded, recorded, failed, dead, given_back, not_ours_but_g])
def test_a_wrong_consumer_changes_nothing(
    group: Group, client: redis.Redis, size: int, verdict: Callable[[str], Verdict]
) -> None:
    add(client, size)
    ids = group.read("a")
    before = group.pending()
    refused = group.settle("b", *(verdict(id).emitting(("next", EVENT)) for id in ids), ttl=60_000)
    assert refused == dict.fromkeys(ids, "=a")
    assert group.pending() == before
    assert ids_of(client) == ids
    assert types_left(client) == {"jobs": "stream"}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [0, 2])
def test_a_wrong_delivery_changes_nothing(
    group: Group, client: redis.Redis, size: int, count: int
) -> None:
    add(client, size)
    ids = group.read("a")
    assert group.settle("a", *(dead(id, count) for id in ids)) == dict.fromkeys(ids, "=a")
    assert group.pending() == dict.fromkeys(ids, ("a", 1))
    assert types_left(client) == {"jobs": "stream"}


@pytest.mark.parametrize("size", SIZES)
def test_what_is_not_pending_is_refused(group: Group, client: redis.Redis, size: int) -> None:
    queued = add(client, size)
    Group(client, "other")
    assert group.settle("a", *map(succeeded, queued)) == dict.fromkeys(queued, "")
    assert group.read("a") == queued
    assert group.settle("a", *map(succeeded, queued)) == {}
    assert group.settle("a", *map(succeeded, queued)) == dict.fromkeys(queued, "")
    assert ids_of(client) == queued


@pytest.mark.parametrize("size", SIZES)
def test_what_is_parked_is_refused(group: Group, client: redis.Redis, size: int) -> None:
    add(client, size)
    ids = group.read("a")
    group.settle("a", *(failed(id, delay=60_000) for id in ids))
    assert group.settle("a", *map(dead, ids)) == dict.fromkeys(ids, "=" + PARKED)
    assert group.letters() == []


@pytest.mark.parametrize("size", [9, 500])
def test_the_fence_finds_single_strangers_in_a_batch(
    group: Group, client: redis.Redis, size: int
) -> None:
    add(client, size)
    ids = group.read("a")
    taken, late, gone = ids[1], ids[size // 2], ids[-1]
    group.take_by_hand(taken, "b")
    group.take_by_hand(late, "a")
    client.xack("jobs", "g", gone)
    refused = group.settle("a", *map(succeeded, ids))
    assert refused == {taken: "=b", late: "=a", gone: ""}
    assert group.pending() == {taken: ("b", 2), late: ("a", 2)}
    # `gone` was settled by the XACK: whoever acks by hand deletes by hand.
    assert ids_of(client) == [taken, late, gone]


@pytest.mark.parametrize("size", [8, 500])
def test_the_fence_sees_through_what_others_hold_in_between(
    group: Group, client: redis.Redis, size: int
) -> None:
    """The range that it asks for is full of entries that are not in the batch."""
    add(client, 12 * size)
    mine: list[str] = []
    for _ in range(size):
        group.read("b", count=5)
        mine += group.read("a", count=1)
        group.read("a", count=6)
    assert group.settle("a", *map(succeeded, mine)) == {}
    assert not set(mine) & set(ids_of(client))
    assert len(group.pending()) == 11 * size


@pytest.mark.parametrize("order", [1, -1])
def test_ids_of_different_lengths(client: redis.Redis, order: int) -> None:
    """With eight and more of them the fence needs their bounds."""
    group, other = Group(client), Group(client, "other")
    ids = [*AWKWARD, "100-100", "101-0", "1000-1", "18446744073709551615-1"]
    add_at(client, ids)
    assert group.read("a") == ids
    other.read("a", count=4)
    assert group.settle("a", *map(succeeded, ids[::order])) == {}
    assert ids_of(client) == ids
    assert other.settle("a", *map(succeeded, ids[:4])) == {}
    assert ids_of(client) == ids[4:]
    assert other.read("a") == ids[4:]
    assert other.settle("a", *map(succeeded, ids[4:][::order])) == {}
    assert ids_of(client) == []


# -- deletion, when every group has settled -----------------------------------


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("size", SIZES)
def test_an_entry_goes_with_the_last_group(client: redis.Redis, groups: int, size: int) -> None:
    ids = add(client, size)
    made = [Group(client, f"g{n}") for n in range(groups)]
    for group in made:
        assert group.read() == ids
    for n in range(groups):
        assert ids_of(client) == ids
        assert made[n].settle("a", *map(succeeded, ids)) == {}
    assert ids_of(client) == []


def test_groups_at_different_progress(client: redis.Redis) -> None:
    """Queued here, pending there, parked elsewhere: each keeps the entry."""
    first, second, third = Group(client), Group(client, "second"), Group(client, "third")
    ids = add(client, 12)
    first.read()
    second.read(count=8)
    third.read(count=10)
    second.settle("a", *map(succeeded, ids[:4]))
    third.settle("a", *(failed(id, delay=60_000) for id in ids[:2]))
    third.settle("a", *map(succeeded, ids[2:6]))
    assert ids_of(client) == ids
    assert first.settle("a", *map(succeeded, ids)) == {}
    # Settled by all: 2 and 3. Second still holds 4 to 7, and has 8 to 11 to come.
    assert ids_of(client) == [*ids[:2], *ids[4:]]
    third.due("a")
    assert third.settle("a", *map(succeeded, ids[6:10])) == {}
    assert second.settle("a", *map(succeeded, ids[4:8])) == {}
    assert ids_of(client) == [*ids[:2], *ids[8:]]
    assert second.read() == ids[8:]
    assert second.settle("a", *map(dead, ids[8:])) == {}
    assert ids_of(client) == [*ids[:2], *ids[10:]]
    assert third.read() == ids[10:]
    assert third.settle("a", *map(succeeded, ids[10:])) == {}
    assert ids_of(client) == ids[:2]


def test_a_group_with_more_pending_than_the_batch_is_long(client: redis.Redis) -> None:
    """The other group's pending entries do not all fit into one look at them."""
    group, other = Group(client), Group(client, "other")
    ids = add(client, 100)
    group.read()
    other.read()
    batch = [ids[0], ids[50], ids[98], ids[99]]
    other.settle("b", *map(succeeded, batch))
    other.settle("a", succeeded(ids[98]), succeeded(ids[99]))
    assert group.settle("a", *map(succeeded, batch)) == {}
    assert ids_of(client) == [id for id in ids if id not in (ids[98], ids[99])]


def test_a_group_that_starts_later_does_not_keep_older_entries(client: redis.Redis) -> None:
    group = Group(client)
    [old] = add(client)
    Group(client, "late", start="$")
    [new] = add(client)
    group.read()
    assert group.settle("a", succeeded(old), succeeded(new)) == {}
    assert ids_of(client) == [new]


def test_a_retry_keeps_the_entry_for_its_group_only(client: redis.Redis) -> None:
    group, other = Group(client), Group(client, "other")
    [id] = add(client)
    group.read()
    other.read()
    group.settle("a", failed(id))
    assert other.settle("a", succeeded(id)) == {}
    assert ids_of(client) == [id]
    group.due("a")
    assert group.settle("a", succeeded(id, 2)) == {}
    assert ids_of(client) == []


# -- follow-up events ---------------------------------------------------------


def test_events_are_written_with_the_ack(group: Group, client: redis.Redis) -> None:
    first, second = add(client, 2)
    group.read()
    assert not group.settle(
        "a",
        succeeded(first).emitting(("next", EVENT), ("next", ("data", "2"))),
        recorded(second).emitting(("other", EVENT)),
        ttl=60_000,
    )
    assert [fields for _, fields in raw_entries(client, "next")] == [
        [("type", "next"), ("data", '{"n":1}')],
        [("data", "2")],
    ]
    assert len(ids_of(client, "other")) == 1
    assert group.record(second)["state"] == "succeeded"


def test_an_event_can_go_to_the_same_stream(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read()
    group.settle("a", succeeded(id).emitting(("jobs", EVENT)))
    [new] = ids_of(client)
    assert new != id
    assert group.read() == [new]


@pytest.mark.parametrize("size", [1, 8])
def test_a_batch_sent_again_does_nothing(group: Group, client: redis.Redis, size: int) -> None:
    """As after a reply that was lost."""
    add(client, 3 * size)
    ids = group.read()
    done, retried, given_up = ids[:size], ids[size : 2 * size], ids[2 * size :]
    verdicts = [
        *(succeeded(id).emitting(("next", EVENT)) for id in done),
        *(failed(id, delay=60_000) for id in retried),
        *map(dead, given_up),
    ]
    assert group.settle("a", *verdicts) == {}
    state = (group.pending(), group.parked(), group.letters(), ids_of(client, "next"))
    refused = group.settle("a", *verdicts)
    assert refused == {
        **dict.fromkeys(done, ""),
        **dict.fromkeys(retried, "=" + PARKED),
        **dict.fromkeys(given_up, ""),
    }
    assert (group.pending(), group.parked(), group.letters(), ids_of(client, "next")) == state
    assert len(state[3]) == size


def test_an_event_to_what_is_no_stream_refuses_the_whole_verdict(
    group: Group, client: redis.Redis
) -> None:
    client.set("taken", "x")
    bad, good = add(client, 2)
    group.read()
    refused = group.settle(
        "a",
        succeeded(bad).emitting(("next", EVENT), ("taken", EVENT)),
        succeeded(good).emitting(("next", EVENT)),
    )
    assert refused == {bad: "!emit"}
    assert group.pending() == {bad: ("a", 1)}
    assert len(ids_of(client, "next")) == 1
    assert client.get("taken") == "x"


def test_an_event_that_cannot_be_written_takes_the_others_with_it(
    group: Group, client: redis.Redis
) -> None:
    """The target is a stream, but has come to the end of its IDs."""
    last = f"{2**64 - 1}-{2**64 - 1}"
    client.xadd("full", {"n": "1"}, id=last)
    bad, good = add(client, 2)
    group.read()
    refused = group.settle(
        "a",
        recorded(bad).emitting(("next", EVENT), ("full", EVENT), ("next", EVENT)),
        succeeded(good).emitting(("next", EVENT)),
        ttl=60_000,
    )
    assert list(refused) == [bad]
    assert refused[bad].startswith("!emit")
    assert len(ids_of(client, "next")) == 1
    assert ids_of(client, "full") == [last]
    assert group.record(bad) == {}
    assert group.pending() == {bad: ("a", 1)}


# -- what others did to the stream --------------------------------------------


def test_a_deleted_entry_can_be_settled(group: Group, client: redis.Redis) -> None:
    ok, gone = add(client, 2)
    group.read()
    client.xdel("jobs", ok, gone)
    assert group.settle("a", succeeded(ok), dead(gone)) == {}
    assert group.pending() == {}
    [(_, fields)] = group.letters()
    assert fields == [
        ("id", gone), ("reason", "gave up"), ("error", "oops"), ("attempts", "1"),
        ("consumer", "a"),
    ]  # fmt: skip


@pytest.mark.parametrize("verdict", [failed, given_back])
def test_a_deleted_entry_cannot_be_parked(
    group: Group, client: redis.Redis, verdict: Callable[[str], Verdict]
) -> None:
    gone, kept = add(client, 2)
    group.read()
    client.xtrim("jobs", maxlen=1, approximate=False)
    assert group.settle("a", verdict(gone), verdict(kept)) == {gone: "!deleted"}
    assert list(group.pending()) == [kept]
    assert list(group.parked()) == [kept]
    assert client.exists(group.keys.job(gone)) == 0


def test_foreign_entries_are_settled_like_others(group: Group, client: redis.Redis) -> None:
    id = write(client, "file", "a.png", "s", "1", "e", "2")
    group.read()
    assert group.settle("a", succeeded(id)) == {}
    assert ids_of(client) == []


# -- refused before anything is written ---------------------------------------


@pytest.mark.parametrize("key", ["stream", "retry", "dlq"])
def test_wrong_key_types_are_refused(group: Group, client: redis.Redis, key: str) -> None:
    ok, bad = add(client, 2)
    group.read()
    name = getattr(group.keys, key)
    kept = client.dump("jobs") if key == "stream" else None
    client.delete(name)
    client.set(name, "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        group.settle("a", succeeded(ok).emitting(("next", EVENT)), failed(bad), dead(bad))
    assert client.get(name) == "x"
    assert not client.exists("next")
    if kept is None:
        assert group.pending() == {ok: ("a", 1), bad: ("a", 1)}


def test_a_record_of_the_wrong_type_does_not_stop_a_batch(
    group: Group, client: redis.Redis
) -> None:
    first, second = add(client, 2)
    group.read()
    client.rpush(group.keys.job(first), "x")
    client.rpush(group.keys.job(second), "x")
    assert group.settle("a", recorded(first), failed(second), ttl=1000) == {}
    assert group.pending() == {second: (PARKED, 1)}


def test_a_missing_group_is_said(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read()
    client.xgroup_destroy("jobs", "g")
    with pytest.raises(redis.ResponseError, match="NOGROUP"):
        group.settle("a", succeeded(id))
    client.delete("jobs")
    with pytest.raises(redis.ResponseError, match="NOGROUP"):
        group.settle("a", succeeded(id))
    assert client.keys("*") == []


# -- memory -------------------------------------------------------------------


def test_settling_goes_on_when_memory_is_short(make_server: Callable[..., RedisServer]) -> None:
    with make_server().client() as client:
        group = Group(client)
        add(client, 10)
        ids = group.read()
        client.config_set("maxmemory", "1")
        with pytest.raises(redis.ResponseError, match=r"OOM|maxmemory"):
            add(client)
        assert not group.settle(
            "a", recorded(ids[0]).emitting(("next", EVENT)), failed(ids[1]), dead(ids[2]),
            given_back(ids[3]), *map(succeeded, ids[4:]), ttl=60_000,
        )  # fmt: skip
        assert group.pending() == {ids[1]: (PARKED, 1), ids[3]: (PARKED, 0)}
        assert len(group.letters()) == len(ids_of(client, "next")) == 1
        assert group.record(ids[0])["state"] == "succeeded"


def test_it_can_be_run_by_its_digest_as_well(group: Group, client: redis.Redis) -> None:
    [id] = add(client)
    group.read()
    call = group.settle_call("a", [succeeded(id)])
    assert client.script_load(call.source) == call.script.sha
    assert command(client, *call.evalsha()) == []
    assert run(client, call) == [1, ""]
