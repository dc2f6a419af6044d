"""Serving: ports, clients that go away, registries."""

from __future__ import annotations

import socket
import struct
import time
import urllib.parse
import urllib.request
from contextlib import closing

import pytest
from prometheus_client import REGISTRY

from streamq import App
from streamq.errors import ConfigError
from streamq.observe.prometheus import Metrics, http
from tests.prometheus.support import scrape, serving

pytestmark = pytest.mark.anyio


def test_a_port_in_use_is_an_error_or_the_next_free_one_is_taken(offline: App) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with closing(Metrics(offline.server, offline.subscriptions())) as metrics:
            with pytest.raises(
                ConfigError, match=rf"^cannot serve metrics at 127.0.0.1: port {port} is in use"
            ):
                metrics.serve(port=port)
            url = metrics.serve(port=port, next_free=True)
            taken = urllib.parse.urlsplit(url).port
            assert taken is not None
            assert port < taken <= port + http.PORTS_TRIED
            assert scrape(metrics)("streamq_server_up") == 0


def test_no_port_is_free(offline: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PORTS_TRIED", 1)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with (
            closing(Metrics(offline.server, offline.subscriptions())) as metrics,
            pytest.raises(ConfigError, match="in use"),
        ):
            metrics.serve(port=port, next_free=True)


def test_close_frees_the_port(offline: App) -> None:
    first = Metrics(offline.server, offline.subscriptions())
    port = urllib.parse.urlsplit(first.serve(port=0)).port
    assert port is not None
    first.close()
    first.close()
    with closing(Metrics(offline.server, offline.subscriptions())) as second:
        assert second.serve(port=port) == f"http://127.0.0.1:{port}/metrics"


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("127.0.0.1", 65536, "give a number from 0 to 65535"),
        ("", 0, "give an address"),
        ("192.0.2.1", 0, "cannot serve metrics at 192.0.2.1:0: .*; give another address"),
        ("x" * 70 + "\n", 0, r"cannot serve metrics at x+…:0: .*; give another address"),
    ],
)
def test_an_address_that_cannot_be_served(offline: App, host: str, port: int, message: str) -> None:
    with closing(Metrics(offline.server, offline.subscriptions())) as metrics:
        with pytest.raises(ConfigError, match=message) as caught:
            metrics.serve(host, port)
        assert "\n" not in str(caught.value)


def test_a_client_that_goes_away_is_no_event(
    offline: App, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG", "streamq.observe.prometheus")
    with serving(offline) as metrics:
        address = urllib.parse.urlsplit(metrics.url or "")
        with socket.create_connection((address.hostname, address.port)) as client:
            client.sendall(b"GET /metr")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end = time.monotonic() + 20
        while not caplog.records and time.monotonic() < end:
            time.sleep(0.01)
        assert scrape(metrics)("streamq_server_up") == 0

    assert [record.levelname for record in caplog.records] == ["DEBUG"]
    assert capfd.readouterr() == ("", "")


def test_serving_twice_is_an_error(offline: App) -> None:
    with serving(offline) as metrics, pytest.raises(ConfigError, match="served already, at http"):
        metrics.serve(port=0)


def test_a_registry_takes_one_at_a_time(offline: App) -> None:
    with (
        closing(Metrics(offline.server, offline.subscriptions(), registry=REGISTRY)),
        pytest.raises(ConfigError, match="the registry has streamq's metrics already"),
    ):
        Metrics(offline.server, offline.subscriptions(), registry=REGISTRY)
    Metrics(offline.server, offline.subscriptions(), registry=REGISTRY).close()
