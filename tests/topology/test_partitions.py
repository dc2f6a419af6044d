"""A stream of several partitions, on all nodes of a Cluster."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator

import pytest

from streamq import App, Job, NewJob, Partitioned, Settings
from streamq.errors import ConfigError
from tests.topology.cluster import ClusterServers
from tests.worker.support import drain

pytestmark = pytest.mark.anyio

COUNT = 6


@pytest.fixture
async def app(cluster: ClusterServers) -> AsyncIterator[App]:
    """An app on the Cluster whose stream has partitions."""
    async with App(cluster.url, streams={"jobs": Partitioned(COUNT)}) as app:
        yield app


async def test_its_partitions_are_on_several_nodes(cluster: ClusterServers) -> None:
    assert len({cluster.owner(f"{{jobs:{n}}}").port for n in range(COUNT)}) > 1


async def test_writing_working_and_growing(app: App) -> None:
    group = app.group("g", order=True)
    seen: dict[str | None, list[int]] = defaultdict(list)

    @group.handler("t")
    async def handle(job: Job, n: int) -> int:
        seen[job.key].append(n)
        return n

    jobs = [NewJob("t", {"n": n}, key=f"k{n % 20}") for n in range(1000)]
    await app.produce_many([*jobs, *(("t", {"n": n}) for n in range(500))])
    await app.admin.create_group("jobs", "g")
    await app.admin.grow("jobs", 2 * COUNT)
    later = [NewJob("t", {"n": n}, key=f"k{n % 20}") for n in range(1000, 2000)]
    written = await app.produce_many(later)
    assert {job.place for job in written} - {f"{{jobs:{n}}}" for n in range(COUNT)}
    one = await app.produce("t", {"n": 7}, unique="u")
    assert not (await app.produce("t", {"n": 7}, unique="u")).created
    about = await app.admin.stream("jobs")
    assert (about.length, about.groups[0].queued, about.partitions) == (2501, 2501, 2 * COUNT)
    await drain(app, settings=Settings())
    assert await one.result(timeout=5) == 7
    unkeyed = seen.pop(None)
    assert sorted(unkeyed) == sorted([*range(500), 7])
    assert seen == {f"k{k}": [*range(k, 2000, 20)] for k in range(20)}
    assert (await app.admin.stream("jobs")).length == 0
    assert [stream.name for stream in (await app.admin.info()).streams] == ["jobs"]


async def test_follow_up_events_stay_in_the_slot(app: App) -> None:
    told: list[str] = []

    @app.handler("first")
    async def first(job: Job) -> None:
        job.emit("second")
        try:
            job.emit("second", key="b")
        except ConfigError as error:
            told.append(str(error))

    @app.handler("second")
    async def second(job: Job) -> None:
        told.append(job.place)

    job = await app.produce("first", key="a")
    await drain(app)
    assert "on a Cluster" in told[0]
    assert told[1:] == [job.place]
