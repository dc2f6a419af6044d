"""The command line on a Cluster and with Sentinels, and the examples on a Cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streamq.cli.exits import ExitCode
from tests.cli.support import PATIENCE, Result, run_here
from tests.markdown import ROOT, read
from tests.servers import binaries
from tests.topology.cluster import ClusterServers
from tests.topology.sentinels import SentinelServers

Streamq = Callable[..., Result]

APP = """
from streamq import App
app = App({url!r}, cluster=True)

@app.handler("work")
def work(n: int) -> int:
    return n * 2
"""


@pytest.fixture(scope="session")
def shared_cluster() -> Iterator[ClusterServers]:
    """One for all: what differs between servers is tested below the command line."""
    servers = ClusterServers(next(iter(binaries().values())))
    try:
        yield servers.start()
    finally:
        servers.stop()


@pytest.fixture(scope="session")
def shared_sentinels() -> Iterator[SentinelServers]:
    """One for all."""
    servers = SentinelServers(next(iter(binaries().values())))
    try:
        yield servers.start()
    finally:
        servers.stop()


@pytest.fixture(params=["cluster", "sentinel"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of each."""
    if request.param == "cluster":
        cluster: ClusterServers = request.getfixturevalue("cluster")
        return cluster.url
    sentinels: SentinelServers = request.getfixturevalue("shared_sentinels")
    sentinels.restore()
    return sentinels.url


@pytest.fixture
def streamq(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Streamq:
    """Run a command in this process."""
    monkeypatch.setenv("STREAMQ_URL", url)
    monkeypatch.delenv("STREAMQ_APP", raising=False)

    def run(*args: str) -> Result:
        return run_here(args, capsys)

    return run


def consume(*args: str) -> Result:
    """Work until nothing is left, in a process of its own."""
    words = [sys.executable, "-m", "streamq", "consume", "--burst", "--metrics-port", "0", *args]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    return Result(done.returncode, done.stdout, done.stderr)


def said(result: Result) -> str:
    """What a command that did it has printed."""
    assert result.code == ExitCode.OK, result
    return result.out


def rows(result: Result) -> list[dict[str, str]]:
    """The lines that a command has printed, which are JSON."""
    return [json.loads(line) for line in said(result).splitlines()]


def test_a_job_from_its_writing_to_its_redrive(streamq: Streamq, url: str) -> None:
    for stream in ("jobs", "mails", "b"):
        id = said(streamq("produce", "a=1", "--quiet", "--stream", stream)).strip()
        said(streamq("group", "create", "g", "--stream", stream))
        assert "Nothing is pending" in said(streamq("pending", "--stream", stream))
        assert json.loads(said(streamq("status", id, "--stream", stream, "--json")))
    about = json.loads(said(streamq("info", "--json")))
    assert [stream["name"] for stream in about["streams"]] == ["b", "jobs", "mails"]

    streams = ("--stream", "jobs", "--stream", "mails", "--stream", "b")
    said(consume("--exec", "false", "--retries", "0", "--group", "g", *streams))
    for stream in ("jobs", "mails", "b"):
        place = ("--stream", stream, "--group", "g")
        [letter] = rows(streamq("dlq", "list", *place, "--json"))
        said(streamq("dlq", "redrive", letter["job_id"], *place))
        assert rows(streamq("dlq", "list", *place, "--json")) == []
    assert "replication" in streamq("doctor").out


def test_a_job_is_printed(streamq: Streamq, url: str) -> None:
    id = said(streamq("produce", "a=1", "--quiet")).strip()
    assert id in said(consume("--quiet"))
    assert id in said(streamq("status", id))


def test_a_node_by_a_plain_url(cluster: ClusterServers, capsys: pytest.CaptureFixture[str]) -> None:
    plain = cluster.primaries[0].url
    for command in (["produce", "a=1"], ["pending"], ["consume", "--burst"], ["info"], ["doctor"]):
        result = run_here([*command, "--url", plain], capsys)
        assert result.code == ExitCode.REFUSED, result
        assert "is a node of a Cluster: write redis+cluster:// in the URL" in result.err
        assert "Traceback" not in result.err


def test_an_app_of_a_cluster(
    cluster: ClusterServers, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "of_cluster.py").write_text(APP.format(url=cluster.primaries[1].url))
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        job = ["produce", f"n={number}", "--type", "work"]
        said(run_here([*job, "--url", cluster.url], capsys))
    for processes in ("1", "2"):
        said(consume("--app", "of_cluster:app", "--processes", processes))
    assert cluster.owner("jobs").ask("XLEN", "jobs") == 0


EXAMPLES = (
    "cancel", "cron", "debounce", "limits", "offload", "order", "pause", "progress", "regions",
    "replay", "results",
)  # fmt: skip
"""Those that use a part of streamq each that has scripts of its own."""


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example(name: str, cluster: ClusterServers, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"examples.{name}"], capture_output=True, text=True, check=False,
        timeout=2 * PATIENCE, cwd=tmp_path,
        env={**os.environ, "STREAMQ_URL": cluster.url, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    shown = read(ROOT / "examples" / f"{name}.py").rstrip().split("\n\n")[-1].splitlines()
    assert done.stdout.splitlines() == [line.removeprefix("# ") for line in shown], done.stderr
