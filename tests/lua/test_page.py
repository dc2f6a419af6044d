"""page.lua: a page of a stream, bounded in entries and in bytes."""

from __future__ import annotations

import pytest
import redis

from streamq import lua
from tests.lua.support import AWKWARD, add, add_at, run

MIB = 1024 * 1024


def pages(client: redis.Redis, start: str, end: str, count: int, **options: int) -> list[list[str]]:
    """The IDs on each page until the end."""
    found = []
    while start:
        call = lua.page("jobs", start, end, count, **options)  # type: ignore[arg-type]  # ints and bools
        entries, start = run(client, call)
        found.append([entry[0] for entry in entries])
    return found


@pytest.mark.parametrize(("count", "sizes"), [(3, [3, 3, 1]), (7, [7, 0]), (8, [7])])
def test_every_entry_comes_once_and_in_order(
    client: redis.Redis, count: int, sizes: list[int]
) -> None:
    ids = add(client, 7)
    found = pages(client, "-", "+", count)
    assert [len(page) for page in found] == sizes
    assert [id for page in found for id in page] == ids


def test_the_newest_first(client: redis.Redis) -> None:
    add_at(client, AWKWARD)
    assert pages(client, "+", "-", 4, newest_first=True) == [AWKWARD[:1:-1], AWKWARD[1::-1]]


def test_a_range(client: redis.Redis) -> None:
    add_at(client, AWKWARD)
    assert pages(client, "(5-9", "99", 10) == [["5-10", "9-0", "10-0", "99-100"]]


def test_values_are_cut_and_say_so_by_nothing_else(client: redis.Redis) -> None:
    client.xadd("jobs", {"type": "abcdef", "data": "x" * 1000})
    entries, end = run(client, lua.page("jobs", "-", "+", 5, cut=4))
    assert (entries[0][1], end) == (["type", "abcd", "data", "xxxx"], "")
    entries, _ = run(client, lua.page("jobs", "-", "+", 5))
    assert entries[0][1] == ["type", "abcdef", "data", "x" * 1000]


@pytest.mark.parametrize("cut", [-1, 10])
def test_a_page_of_large_entries_ends_after_a_mib(client: redis.Redis, cut: int) -> None:
    for _ in range(35):
        client.xadd("jobs", {"data": "x" * (MIB // 5)})
    found = pages(client, "-", "+", 100, cut=cut)
    assert [len(page) for page in found] == [10, 10, 10, 5]


def test_no_stream(client: redis.Redis) -> None:
    assert pages(client, "-", "+", 10) == [[]]


def test_it_changes_nothing_and_may_not(client: redis.Redis) -> None:
    add(client, 3)
    before = client.dump("jobs")
    pages(client, "-", "+", 2)
    assert client.dump("jobs") == before
    assert lua.load("page").source.startswith("#!lua flags=no-writes\n")
