"""Which server a stream's keys are on: the only one, the primary that Sentinels name, or the
node of a Cluster that has their slot.

A topology makes the connections, and all that servers say of who has what by now is answered
there, once, for everybody who has a :class:`~streamq.server.link.Link`.
"""

from __future__ import annotations

from streamq.errors import ConfigError
from streamq.server.address import Address
from streamq.server.topology.single import Single
from streamq.server.topology.topology import Topology

__all__ = ["Topology", "is_cluster", "topology_of"]


def topology_of(url: str, *, embedded: bool = False, cluster: bool = False) -> Topology:
    """The topology that a URL names.

    Args:
        url: ``redis://…``, ``rediss://…`` or ``unix://…`` for one server,
            ``redis+cluster://HOST:PORT,HOST:PORT…`` for a Cluster by some of its nodes,
            ``redis+sentinel://HOST:PORT,HOST:PORT…/NAME[/DATABASE]`` for the primary of that name;
            with ``rediss+`` for TLS.
        embedded: whether it is that of the embedded server.
        cluster: whether ``redis://`` and ``rediss://`` lead to a Cluster, too.

    Raises:
        ConfigError: the URL cannot be used.
    """
    if is_cluster(url, cluster=cluster):
        from streamq.server.topology.cluster import Cluster

        return Cluster.of(url)
    if cluster:
        raise ConfigError("cluster=True needs the URL of a Cluster, redis+cluster://HOST:PORT")
    if _scheme(url).endswith("+sentinel"):
        from streamq.server.topology.sentinel import Sentinels

        return Sentinels.of(url)
    return Single(Address(url, embedded=embedded))


def is_cluster(url: str | None, *, cluster: bool = False) -> bool:
    """Whether a URL is that of a Cluster; arguments as for :func:`topology_of`."""
    scheme = _scheme(url or "")
    return scheme.endswith("+cluster") or (cluster and scheme in ("redis", "rediss"))


def _scheme(url: str) -> str:
    return url.partition("://")[0].lower()
