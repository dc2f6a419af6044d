"""The proxy itself: each misbehaviour, as a plain client sees it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.faults.proxy import Proxy
from tests.servers import RedisServer


@pytest.fixture
def proxy(server: RedisServer) -> Iterator[Proxy]:
    proxy = Proxy(server.port).start()
    yield proxy
    proxy.stop()


@pytest.fixture
def through(proxy: Proxy) -> Iterator[redis.Redis]:
    """A client by way of the proxy, with one connection and no second try."""
    with redis.Redis(
        port=proxy.port, protocol=2, retry=Retry(NoBackoff(), 0), socket_timeout=0.5,
        single_connection_client=True,
    ) as client:  # fmt: skip
        yield client


def test_it_forwards(through: redis.Redis, client: redis.Redis) -> None:
    through.set("k", b"x" * 1_000_000)
    assert client.strlen("k") == 1_000_000
    assert len(through.get("k") or b"") == 1_000_000


def test_it_cuts(proxy: Proxy, through: redis.Redis) -> None:
    through.ping()
    assert proxy.cut() == 1
    with pytest.raises(redis.ConnectionError):
        through.ping()
    assert through.ping()


def test_it_refuses(proxy: Proxy, through: redis.Redis) -> None:
    proxy.refuse()
    with pytest.raises(redis.ConnectionError):
        through.ping()
    with pytest.raises(redis.ConnectionError, match="refused"):
        through.ping()
    proxy.accept()
    assert through.ping()


def test_it_rejects(proxy: Proxy, through: redis.Redis) -> None:
    proxy.reject = True
    proxy.cut()
    for _ in range(2):
        with pytest.raises(redis.ConnectionError):
            through.ping()
    assert proxy.rejected == 1


def test_it_freezes(proxy: Proxy, through: redis.Redis) -> None:
    through.ping()
    proxy.freeze()
    with pytest.raises(redis.TimeoutError):
        through.ping()
    assert through.ping()  # on a new connection


def test_it_half_closes(proxy: Proxy, through: redis.Redis) -> None:
    through.ping()
    proxy.half_close()
    with pytest.raises(redis.ConnectionError):
        through.ping()


def test_it_swallows_a_reply(proxy: Proxy, through: redis.Redis, client: redis.Redis) -> None:
    proxy.swallow(b"SADD")
    through.ping()
    with pytest.raises(redis.ConnectionError):
        through.sadd("done", "it")
    assert proxy.swallowed.is_set()
    assert client.smembers("done") == {"it"}
    assert through.sadd("done", "more") == 1


def test_it_delays(proxy: Proxy, through: redis.Redis) -> None:
    through.ping()
    proxy.delay = 0.05
    before = time.monotonic()
    through.ping()
    assert time.monotonic() - before >= 0.1


def test_it_trickles(proxy: Proxy, through: redis.Redis) -> None:
    proxy.trickle = 3
    through.set("k", b"x" * 1000)
    assert through.get("k") == b"x" * 1000


def test_it_leads_elsewhere(proxy: Proxy, through: redis.Redis) -> None:
    through.ping()
    proxy.retarget(1)
    assert through.ping()  # on the connection that it has
    proxy.cut()
    with pytest.raises(redis.ConnectionError):
        through.ping()
    with pytest.raises(redis.ConnectionError):
        through.ping()
