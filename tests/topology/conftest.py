"""Fixtures: Clusters, and servers with Sentinels."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from streamq import App
from tests.servers import binaries
from tests.topology.cluster import ClusterServers
from tests.topology.sentinels import SentinelServers


@pytest.fixture(scope="session", params=list(binaries()))
def shared_cluster(request: pytest.FixtureRequest) -> Iterator[ClusterServers]:
    """One Cluster of each kind for the whole run; ask for ``cluster`` instead."""
    servers = ClusterServers(binaries()[request.param])
    try:
        yield servers.start()
    finally:
        servers.stop()


@pytest.fixture
def cluster(shared_cluster: ClusterServers) -> ClusterServers:
    """A running Cluster without any data. Slots may move, nodes may not go."""
    for node in shared_cluster.primaries:
        node.ask("FLUSHALL")
    return shared_cluster


@pytest.fixture
async def app(cluster: ClusterServers) -> AsyncIterator[App]:
    """An app on the Cluster, without handlers."""
    async with App(cluster.url) as app:
        yield app


@pytest.fixture(scope="session", params=list(binaries()))
def shared_sentinels(request: pytest.FixtureRequest) -> Iterator[SentinelServers]:
    """A primary with replicas and Sentinels of each kind for the whole run."""
    servers = SentinelServers(binaries()[request.param])
    try:
        yield servers.start()
    finally:
        servers.stop()
