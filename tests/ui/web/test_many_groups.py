"""A hundred groups, and long lists: no page asks more than it shows."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from tests.situations import GROUP, add, read
from tests.ui.web.visitor import Visitor

pytestmark = pytest.mark.anyio

PAGES = ("", "pending", "dead", "consumers", "scheduled", "cron", "limits")


def calls(client: redis.Redis) -> dict[str, int]:
    stats: Any = client.info("commandstats")
    return {name.removeprefix("cmdstat_"): int(one["calls"]) for name, one in stats.items()}


async def test_a_hundred_groups(client: redis.Redis, visitor: Visitor) -> None:
    for n in range(100):
        client.xgroup_create(f"stream-{n % 10}", f"group-{n}", "0", mkstream=True)
    for n in range(10):
        client.xadd(f"stream-{n}", {"n": "1"})
    client.config_resetstat()
    for page in PAGES:
        text = await visitor.read(page)
        if page in ("", "pending"):
            assert all(f"group-{n} " in text for n in range(100))
    made = calls(client)
    assert "keys" not in made
    assert not {"sort", "hgetall|all", "smembers"} & set(made)
    # Seven pages, of which five show something of every group.
    assert sum(made.values()) < 7 * 600, made


async def test_a_page_of_a_long_list_asks_for_a_page(client: redis.Redis, visitor: Visitor) -> None:
    pipe = client.pipeline(transaction=False)
    for n in range(5000):
        pipe.xadd("jobs", {"type": "t", "data": f'{{"n":{n}}}'})
    pipe.execute()
    read(client, "web1-1-a", 5000)
    add(client, {"n": "1"})
    await visitor.read("pending", stream="jobs", group=GROUP)
    client.config_resetstat()
    await visitor.read("pending", stream="jobs", group=GROUP)
    made = calls(client)
    assert made["xrange"] <= 100  # the jobs of the page, and the group's oldest ones
    assert made["xpending"] <= 100
