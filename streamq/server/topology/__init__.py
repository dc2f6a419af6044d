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

__all__ = ["Topology", "as_cluster", "is_cluster", "topology_of"]


def topology_of(url: str, *, embedded: bool = False) -> Topology:
    """The topology that a URL names.

    Args:
        url: ``redis://…``, ``rediss://…`` or ``unix://…`` for one server,
            ``redis+cluster://HOST:PORT,HOST:PORT…`` for a Cluster by some of its nodes,
            ``redis+sentinel://HOST:PORT,HOST:PORT…/NAME[/DATABASE]`` for the primary of that name;
            with ``rediss+`` for TLS.
        embedded: whether it is that of the embedded server.

    Raises:
        ConfigError: the URL cannot be used.
    """
    if is_cluster(url):
        from streamq.server.topology.cluster import Cluster

        return Cluster.of(url)
    if _scheme(url) in ("redis+sentinel", "rediss+sentinel"):
        from streamq.server.topology.sentinel import Sentinels

        return Sentinels.of(url)
    return Single(Address(url, embedded=embedded))


def is_cluster(url: str) -> bool:
    """Whether a URL is that of a Cluster."""
    return _scheme(url) in ("redis+cluster", "rediss+cluster")


def as_cluster(url: str | None) -> str:
    """A URL of the Cluster to which a URL leads that may also be of one server.

    Raises:
        ConfigError: it cannot lead to one.
    """
    scheme, separator, rest = (url or "").partition("://")
    if scheme.lower() in ("redis", "rediss"):
        scheme += "+cluster"
    if not separator or not is_cluster(f"{scheme}://"):
        raise ConfigError("cluster=True needs the URL of a Cluster: redis+cluster://HOST:PORT")
    return f"{scheme}://{rest}"


def _scheme(url: str) -> str:
    return url.partition("://")[0].lower()
