"""URLs that name several servers."""

from __future__ import annotations

import pytest

from streamq.errors import ConfigError
from streamq.server.topology import as_cluster, topology_of
from streamq.server.topology.cluster import Cluster
from streamq.server.topology.sentinel import Sentinels


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("redis+cluster://a:1,b:2", "a:1,b:2"),
        ("redis+cluster://a", "a:6379"),
        ("redis+cluster://u:p%2Cw@a,b:2/0", "a:6379,b:2"),
        ("rediss+cluster://[::1]:7,[2001:db8::1]/", "[::1]:7,[2001:db8::1]:6379"),
        ("REDIS+CLUSTER://a:1?socket_keepalive=no", "a:1"),
        ("redis+sentinel://a:1,b:2/mine", "mine (a:1,b:2)"),
        ("redis+sentinel://u:pw@a,b/mine/3?sentinel_password=x", "mine (a:26379,b:26379)"),
        ("rediss+sentinel://a/mi%2Fne", "mi/ne (a:26379)"),
    ],
)
def test_what_is_shown(url: str, where: str) -> None:
    assert topology_of(url).where == where


def test_each_server_of_a_url_has_its_options() -> None:
    cluster = topology_of("rediss+cluster://u:p%40@a:1,b:2/2?client_name=me")
    assert isinstance(cluster, Cluster)
    for seed, host in zip(cluster.seeds, "ab", strict=True):
        assert (seed.host, seed.username, seed.password) == (host, b"u", b"p@")
        assert (seed.database, seed.client_name) == (2, "me")
        assert seed.tls is not None


def test_sentinels_have_credentials_of_their_own() -> None:
    url = (
        "rediss+sentinel://u:p@a:1/mine/3?client_name=me&sentinel_username=s&sentinel_password=%40"
    )
    topology = topology_of(url)
    assert isinstance(topology, Sentinels)
    server, [sentinel] = topology.server, topology.sentinels
    assert (server.username, server.password, server.database) == (b"u", b"p", 3)
    assert server.client_name == "me"
    assert (sentinel.username, sentinel.password, sentinel.database) == (b"s", b"@", 0)
    assert server.tls is not None
    assert sentinel.tls is not None


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis+cluster://", "give redis[+]cluster://HOST:PORT,HOST:PORT"),
        ("redis+cluster://a,,b", "give redis[+]cluster"),
        ("redis+cluster://a:s3cret,b", "give redis[+]cluster"),
        ("redis+cluster://a:70000", "give redis[+]cluster"),
        ("redis+cluster://u:s3cret/x@a", "give redis[+]cluster"),
        ("redis+cluster://a/x", "give redis[+]cluster"),
        ("redis+cluster://a/1/2", "give redis[+]cluster"),
        ("redis+cluster://a#s3cret", "give redis[+]cluster"),
        ("redis+cluster://a?nonsense=s3cret", "an option that streamq does not know: nonsense"),
        ("redis+cluster://a?ssl_certfile=x", "is for rediss:// only"),
        ("redis+cluster://a?sentinel_password=s3cret", "does not know: sentinel_password"),
        ("redis+sentinel://a", "give redis[+]sentinel://HOST:PORT,HOST:PORT/NAME"),
        ("redis+sentinel://a/mine/x", "give redis[+]sentinel"),
        ("redis+sentinel://a/mine/3/4", "give redis[+]sentinel"),
        ("redis+sentinel:///mine", "give redis[+]sentinel"),
        ("redis+other://a", "not a server's URL"),
        ("unix+cluster://a", "not a server's URL"),
        ("http+sentinel://a/b", "not a server's URL"),
    ],
)
def test_what_a_url_cannot_say(url: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        topology_of(url)
    assert "s3cret" not in str(caught.value)


def test_a_url_that_may_lead_to_a_cluster() -> None:
    assert as_cluster("redis://a:1/0") == "redis+cluster://a:1/0"
    assert as_cluster("rediss://a,b") == "rediss+cluster://a,b"
    assert as_cluster("redis+cluster://a") == "redis+cluster://a"
