"""Users that are held to one stream, where that has partitions."""

from __future__ import annotations

import re

import pytest
import redis

from streamq import App, Job, NewJob, Partitioned
from streamq.errors import AuthenticationFailed
from tests.lua.support import command
from tests.markdown import ROOT
from tests.security.roles import PASSWORD, documented
from tests.servers import RedisServer
from tests.worker.support import drain

pytestmark = pytest.mark.anyio

STREAMS = {"jobs": Partitioned(4)}


def create(client: redis.Redis, name: str, *more: str) -> None:
    """Make the user of a role with the patterns of the partitions beside those of the stream."""
    tokens = [*documented()[name].tokens, *more]
    for token in list(tokens):
        if token.startswith(("~", "%R~", "&")):
            tokens.append(token.replace("{jobs}", "{jobs:*}").replace("~jobs", "~{jobs:*}"))
    command(client, "ACL", "SETUSER", name, "reset", "on", f">{PASSWORD}", *dict.fromkeys(tokens))


def url(server: RedisServer, name: str) -> str:
    return f"unix://{name}:{PASSWORD}@{server.socket}"


def documented_for(what: str) -> list[str]:
    """The permissions that docs/partitions.md names for those who do something."""
    text = (ROOT / "docs/partitions.md").read_text().partition("## Permissions")[2]
    [sentence] = re.findall(rf"{what}[^.]*?need[s]?\s((?:.|\n)*?)\.", text)
    return re.findall(r"[+~%][^`\s]+", sentence)


async def test_a_producer_and_a_worker(app: App, server: RedisServer, client: redis.Redis) -> None:
    """The app, who may do all, has laid them out."""
    await app.produce("t", key="a")
    create(client, "producer", *documented_for("Producers"))
    create(client, "worker")
    async with App(url(server, "producer"), streams=STREAMS) as writes:
        await writes.produce("t", key="a")
        await writes.produce("t", unique="u")
        await writes.produce_many([NewJob("t", key="d"), ("t", {})])
        await writes.produce("t", key="a", delay=600)
    seen: list[int | None] = []
    async with App(url(server, "worker"), streams=STREAMS) as works:

        @works.group("g", order=True).handler("t")
        async def handle(job: Job) -> None:
            seen.append(job.partition)

        await drain(works)
    assert len(seen) == 5
    create(client, "inspector")
    async with App(url(server, "inspector")) as looks:
        assert (await looks.admin.stream("jobs")).scheduled == 1
        assert (await looks.admin.settings("jobs")).partitions == 4


async def test_who_lays_them_out(server: RedisServer, client: redis.Redis) -> None:
    create(client, "producer", *documented_for("Producers"))
    async with App(url(server, "producer"), streams=STREAMS) as app:
        with pytest.raises(AuthenticationFailed):
            await app.produce("t", key="a")
    more = documented_for("Who lays partitions out")
    create(client, "producer", "~{jobs}:group:*", "~{jobs}:settings", *more)
    async with App(url(server, "producer"), streams=STREAMS) as app:
        await app.produce("t", key="a")
        await app.admin.grow("jobs", 8)
        assert (await app.admin.settings("jobs")).partitions == 8
