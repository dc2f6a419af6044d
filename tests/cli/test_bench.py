"""``streamq bench``: it measures, says what the limit is, and leaves nothing behind."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from streamq.bench import Bench, BenchReport, Drained, Percentiles, Processed, workload
from streamq.cli.bench import MIB, MIN_PAYLOAD
from streamq.errors import ConfigError
from streamq.limits import MAX_PAYLOAD
from streamq.server import Server, ServerInfo
from tests.cli.support import Program, Result
from tests.markdown import ROOT, read
from tests.servers import RedisServer, free_port

pytestmark = pytest.mark.slow

Streamq = Callable[..., Result]
Start = Callable[..., Program]

LARGE = ("bench", "--jobs", "200000")
"""Long enough to be interrupted while it writes."""

MEDIUM = ("bench", "--jobs", "20000")
"""Soon at the jobs that have status records, and some time busy with them."""


def paths(value: object, path: str = "") -> Iterator[str]:
    """The fields of a JSON object, with dots."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from paths(inner, f"{path}.{name}" if path else name)
    else:
        yield path


def documented() -> set[str]:
    """The fields that the documentation names."""
    section = read(ROOT / "docs/cli.md").partition("## Measuring a server")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    names = {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)} - {"--json"}
    groups = ("process.plain", "process.recorded")
    return {
        full
        for name in names.difference(groups)
        for full in (
            [group + name[1:] for group in groups] if name.startswith("…") else [name]
        )
    }  # fmt: skip


def own_keys(client: redis.Redis) -> list[str]:
    """The benchmark's keys that are there now."""
    keys: Any = client.keys("*streamq-bench-*")  # redis-py's type is that of both its clients
    return list(keys)


def wait_for_keys(bench: Program, client: redis.Redis, enough: Callable[[list[str]], bool]) -> None:
    """Look until the benchmark has made its keys as far as wanted."""
    while not enough(own_keys(client)):
        assert bench.process.poll() is None, bench.end()


def is_writing(client: redis.Redis) -> Callable[[list[str]], bool]:
    """Whether a backlog is being written: more is there than produce writes one by one."""
    return lambda keys: any(
        client.xlen(key) > 5_000 for key in keys if key.startswith("streamq-bench-")
    )


# -- what it says -------------------------------------------------------------


def test_it_measures_and_leaves_nothing_behind(streamq: Streamq, client: redis.Redis) -> None:
    client.xadd("jobs", {"data": "{}"})
    client.set("streamq-bench", "somebody else's")

    code, out, err = streamq("bench", "--jobs", "500")

    assert code == 0
    assert re.match(r"(Valkey|Redis) \d\S+ at \S+: 500 jobs of 100 bytes, 16 handlers at once", out)
    for row in (
        "produce, each awaited", "produce_many", "worker, no status records",
        "bare loop, no status records", "worker, status records", "bare loop, status records",
        "round trip (PING)", "produce to handler, idle worker",
    ):  # fmt: skip
        assert re.search(rf"^{re.escape(row)} +\d", out, re.MULTILINE), row
    assert out.splitlines()[-1].startswith("The limit is ")
    assert err.startswith("Measuring: this puts full load on the server at ")
    assert sorted(client.keys("*")) == ["jobs", "streamq-bench"]
    assert client.xlen("jobs") == 1


def test_json_has_the_fields_that_are_documented(streamq: Streamq, client: redis.Redis) -> None:
    code, out, _ = streamq("bench", "--jobs", "500", "--payload", "2000", "-c", "4", "--json")

    report = json.loads(out)
    assert code == 0
    assert set(paths(report)) == documented()
    assert (report["jobs"], report["payload"], report["concurrency"]) == (500, 2000, 4)
    assert report["limit"] in ("server", "client", "neither")
    for processed in report["process"].values():
        assert processed["worker"]["jobs_per_second"] > 0
        assert processed["bare"]["jobs_per_second"] > 0
    assert client.dbsize() == 0


def test_a_single_job_is_enough(streamq: Streamq, client: redis.Redis) -> None:
    assert streamq("bench", "--jobs", "1").code == 0
    assert client.dbsize() == 0


@pytest.mark.parametrize(
    ("where", "server_busy", "client_busy", "limit", "words"),
    [
        ("h:6379", 0.97, 0.80, "server", "The limit is the server: one worker process did 60,000"),
        ("h:6379", 0.60, 0.98, "client", "can do up to about 100,000."),
        ("h:6379", 0.50, 0.50, "neither", "or other programs on their machines"),
        ("/run/s", 0.50, 0.50, "neither", "50%, but other programs on this machine; measure again"),
        ("localhost:6379", 0.50, 0.50, "neither", "50%, but other programs on this machine"),
        ("[::1]:6379", 0.50, 0.50, "neither", "50%, but other programs on this machine"),
        ("h:6379", None, 0.98, "client", "it does not tell"),
    ],
)
def test_the_limit_is_whoever_is_busy(
    where: str, server_busy: float | None, client_busy: float, limit: str, words: str
) -> None:
    worker = Drained(60_000, server_busy, client_busy)
    processed = Processed(worker, Drained(100_000, server_busy, client_busy))
    report = BenchReport(
        where, False, ServerInfo("valkey", "9.1", 0, "noeviction", 0), 1, 100, 16,
        Percentiles(0.02, 0.1), 1.0, 1.0, processed, processed, Percentiles(0.02, 0.1),
    )  # fmt: skip

    assert report.limit == limit
    assert words in report.verdict


# -- what it refuses ----------------------------------------------------------


def test_nobody_there(streamq: Streamq) -> None:
    where = f"127.0.0.1:{free_port()}"
    code, out, err = streamq("bench", "--url", f"redis://{where}")

    assert (code, out) == (69, "")
    assert err.startswith(f"streamq: cannot connect to {where}")
    assert err.count("\n") == 1


def test_a_server_elsewhere_is_not_measured_unasked(streamq: Streamq) -> None:
    code, out, err = streamq("bench", "--url", "redis://:secret@db.invalid:6379")

    assert (code, out) == (2, "")
    assert "Put full load on the server at db.invalid:6379" in err
    assert "Give --yes to confirm" in err
    assert streamq("bench", "--url", "redis://db.invalid:6379", "--yes").code == 69


def test_a_replica(
    streamq: Streamq, server: RedisServer, make_server: Callable[..., RedisServer]
) -> None:
    replica = make_server("--replicaof", f"127.0.0.1 {server.port}")

    code, out, err = streamq("bench", "--url", replica.unix_url)

    assert (code, out) == (1, "")
    assert err.splitlines()[-1].endswith("is a read-only replica (READONLY)")
    assert "could not be removed" not in err


def test_a_server_that_is_nearly_full(
    streamq: Streamq, make_server: Callable[..., RedisServer]
) -> None:
    server = make_server("--maxmemory", "30mb")

    code, out, err = streamq("bench", "--url", server.unix_url, "--jobs", "100000")

    fitting = re.search(r"too little memory left for 100,000 jobs .* give ([\d,]+) jobs", err)
    assert (code, out) == (1, "")
    assert fitting is not None
    assert 0 < int(fitting[1].replace(",", "")) < 100_000
    with server.client() as client:
        assert client.dbsize() == 0
    assert streamq("bench", "--url", server.unix_url, "--jobs", "500").code == 0


@pytest.mark.parametrize(
    ("numbers", "words"),
    [({"payload": 2}, "16 to"), ({"jobs": 2_000, "payload": 1 << 20}, "1,024")],
)
def test_numbers_that_cannot_be_used(
    server: RedisServer, numbers: dict[str, int], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        Bench(Server(server.unix_url), **numbers)  # type: ignore[arg-type]  # which are numbers all


def test_too_many_jobs_for_their_payload(streamq: Streamq) -> None:
    code, out, err = streamq("bench", "--jobs", "2000", "--payload", "1048576")

    assert (code, out) == (2, "")
    assert err.startswith("streamq: --jobs 2000: give 1 to 1,024 with a --payload of 1,048,576 ")


def test_the_command_line_knows_the_limits_of_a_payload() -> None:
    assert (MIN_PAYLOAD, MIB) == (workload.MIN_PAYLOAD, MAX_PAYLOAD)


# -- what it leaves behind ----------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_writing(
    start: Start, client: redis.Redis, number: signal.Signals
) -> None:
    client.set("other", "kept")
    bench = start(*LARGE)
    wait_for_keys(bench, client, is_writing(client))

    bench.signal(number)

    code, out, err = bench.end()
    assert (code, out) == (128 + number, "")
    assert err.count("\n") == 1, err
    assert client.keys("*") == ["other"]


def test_interrupted_while_processing(start: Start, client: redis.Redis) -> None:
    bench = start(*MEDIUM)
    wait_for_keys(bench, client, lambda keys: any(":job:" in key for key in keys))

    bench.signal(signal.SIGINT)

    code, out, err = bench.end()
    assert (code, out) == (130, "")
    assert err.count("\n") == 1, err
    assert client.dbsize() == 0


def test_interrupted_while_the_server_is_silent(
    start: Start, make_server: Callable[..., RedisServer]
) -> None:
    server = make_server()
    bench = start(*LARGE, "--url", server.unix_url)
    with server.client() as client:
        wait_for_keys(bench, client, is_writing(client))
        server.signal(signal.SIGSTOP)
        bench.signal(signal.SIGINT)
        bench.wait_for("Waiting for the server")
        server.signal(signal.SIGCONT)
        assert bench.end().code == 130
        assert client.dbsize() == 0


def test_killed_it_leaves_only_what_expires(start: Start, client: redis.Redis) -> None:
    bench = start(*MEDIUM)
    wait_for_keys(bench, client, lambda keys: any(":job:" in key for key in keys))

    bench.kill()

    keys = own_keys(client)
    assert keys
    assert [key for key in keys if client.ttl(key) == -1] == []


def test_a_server_that_goes_away_is_told_in_words(
    start: Start, make_server: Callable[..., RedisServer]
) -> None:
    server = make_server()
    bench = start(*MEDIUM, "--url", server.unix_url)
    with server.client() as client:
        wait_for_keys(bench, client, lambda keys: any(":job:" in key for key in keys))
    server.kill()

    code, out, err = bench.end()
    _, left, told = err.splitlines()
    assert (code, out) == (69, "")
    assert re.fullmatch(
        r"The benchmark's stream streamq-bench-\w+ could not be removed: it expires within 15 min",
        left,
    )
    assert told.startswith("streamq: ")


def test_a_stream_that_somebody_else_empties(start: Start, client: redis.Redis) -> None:
    bench = start(*LARGE)
    wait_for_keys(bench, client, is_writing(client))
    while bench.process.poll() is None and own_keys(client):
        for key in own_keys(client):
            client.delete(key)

    code, out, err = bench.end()
    assert (code, out) == (1, "")
    assert "was changed by another program" in err
    assert client.dbsize() == 0
