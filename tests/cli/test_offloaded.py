"""What the commands show of data outside the stream, and how they write it."""

from __future__ import annotations

import json
from collections.abc import Callable

import anyio
import pytest
import redis

from streamq import App, Dead, Job, Retry
from tests.cli.support import Result
from tests.servers import RedisServer

Streamq = Callable[..., Result]

SIZE = 3_355_444


def write(streamq: Streamq, type: str) -> str:
    result = streamq("produce", "--type", type, "--data", DATA, "--offload", "1000", "-q")
    assert (result.code, result.err) == (0, "")
    return result.out.strip()


DATA = json.dumps({"text": "x" * (SIZE - 11)}, separators=(",", ":"))


@pytest.fixture
def ids(streamq: Streamq, server: RedisServer) -> dict[str, str]:
    """A dead job, one that waits for a retry, and one that is queued."""
    found = {type: write(streamq, type) for type in ("dead", "later", "queued")}

    async def main() -> None:
        async with App(server.unix_url) as app:

            @app.handler("*", retries=1)
            async def handle(job: Job, text: str) -> None:
                assert len(text) == SIZE - 11
                raise Dead("no") if job.type == "dead" else Retry("busy", delay=3600)

            await app.worker(max_jobs=2).run()

    anyio.run(main)
    return found


@pytest.mark.parametrize(
    "command", ["pending", "dlq list", "dlq show {dead}", "status {later}", "status {queued}"]
)
def test_its_size_is_shown(
    command: str, ids: dict[str, str], streamq: Streamq, client: redis.Redis
) -> None:
    client.config_resetstat()
    words = command.format(**ids).split()
    assert "(offloaded, 3.2 MiB)" in streamq(*words).out
    shown = streamq(*words, "--json").out
    assert json.loads(shown)["offloaded"] == SIZE
    stats = client.info("commandstats")
    assert "cmdstat_get" not in stats, "it was not read"


def test_consume_reads_it(streamq: Streamq, client: redis.Redis) -> None:
    id = write(streamq, "a")
    result = streamq("consume", "--burst", "--metrics-port", "0")
    assert f"Processing job: {id} with payload {DATA}\n" in result.out
    assert client.xlen("jobs") == 0
    assert not [*client.scan_iter("{jobs}:data:*")]


def test_a_program_gets_it(streamq: Streamq) -> None:
    write(streamq, "a")
    result = streamq("consume", "--burst", "--metrics-port", "0", "--exec", "wc -c")
    assert int(result.out) > SIZE


def test_a_file_of_large_jobs(
    streamq: Streamq, client: redis.Redis, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("jobs") / "jobs.ndjson"
    path.write_text(f'{DATA}\n{{"text":"small"}}\n')
    result = streamq("produce", "--file", str(path), "--offload", "1000")
    assert result.code == 0
    assert client.xlen("jobs") == 2
    assert len([*client.scan_iter("{jobs}:data:*")]) == 1


def test_without_it_large_data_is_refused(streamq: Streamq, client: redis.Redis) -> None:
    result = streamq("produce", "--data", DATA)
    assert result.code == 2
    assert "the limit is 1,048,576" in result.err
    assert streamq("produce", "a=1", "--offload", "0").code == 2
    assert not client.exists("jobs")


def test_purge_lets_it_go(ids: dict[str, str], streamq: Streamq, client: redis.Redis) -> None:
    assert len([*client.scan_iter("{jobs}:data:*")]) == 3
    assert streamq("dlq", "purge", ids["dead"], "--yes").code == 0
    assert len([*client.scan_iter("{jobs}:data:*")]) == 2
