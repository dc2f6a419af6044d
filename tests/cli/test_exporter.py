"""``streamq exporter``: started, scraped, interrupted, and used wrongly."""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Callable

import pytest
import redis

from tests.cli.support import Program, Result
from tests.scraping import scrape
from tests.servers import free_port

Start = Callable[..., Program]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_exports_until_it_is_told_to_end(
    start: Start, client: redis.Redis, number: signal.Signals
) -> None:
    for stream in ("jobs", "mails"):
        client.xgroup_create(stream, "images", "0", mkstream=True)
    port = free_port()
    program = start("exporter", "--port", str(port))
    url = f"http://127.0.0.1:{port}/metrics"
    program.wait_for(f"; metrics: {url}")
    found = scrape(url)
    program.signal(number)
    code, out, err = program.end()

    assert found("job_queue_length", stream="mails", group="images") == 0
    assert found("streamq_server_up") == 1
    assert (code, out) == (0, "")
    [line] = err.splitlines()
    assert re.fullmatch(
        rf"\S+ INFO    Exporting 2 groups of 2 streams from .*; metrics: {url}", line
    )


def test_without_a_server_it_stays_up_and_says_so(start: Start) -> None:
    port, gone = free_port(), free_port()
    program = start("exporter", "--port", str(port), "--url", f"redis://127.0.0.1:{gone}")
    program.wait_for("; metrics: http://")
    assert scrape(f"http://127.0.0.1:{port}/metrics")("streamq_server_up") == 0
    program.signal(signal.SIGINT)
    code, out, err = program.end()

    assert (code, out) == (0, "")
    lost, exporting = err.splitlines()
    assert "streamq_server_up is 0 until it is back" in lost
    assert "Exporting nothing yet from" in exporting


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (["--stream", "a\nb"], r"'a\nb' is not a valid stream name"),
        (["--port", "65536"], "65536 is not a port"),
        (["--host", "nowhere.invalid"], "cannot serve metrics at nowhere.invalid:8001: "),
        (["--interval", "0"], "give 100ms to 1h"),
        (["--url", "nothing://x"], "not a server's URL"),
    ],
)
def test_a_mistake_is_told(streamq: Callable[..., Result], args: list[str], complaint: str) -> None:
    result = streamq("exporter", *args)
    assert (result.code, result.out) == (2, "")
    assert complaint in result.err
    assert "Traceback" not in result.err


def test_a_port_in_use(streamq: Callable[..., Result]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = streamq("exporter", "--port", str(port))
    assert result.code == 2
    assert f": port {port} is in use; give another port (--port, --host)" in result.err
