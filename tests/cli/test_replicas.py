"""``streamq produce --replicas``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.cli.support import Result
from tests.lua.support import ids_of

Run = Callable[..., Result]
WAITING = ("--replicas", "1", "--replica-timeout", "1ms")


@pytest.mark.parametrize("options", [[], ["--key", "k"]])
def test_a_job_that_no_replica_has(streamq: Run, client: redis.Redis, options: list[str]) -> None:
    code, out, err = streamq("produce", "a=1", *options, *WAITING)

    [id] = ids_of(client)
    assert (code, out) == (1, f"Enqueued job: {id}\n")
    assert err.startswith(f"streamq: the job {id} is written, but 0 of 1 replicas acknowledged it ")
    assert err.count("\n") == 1


def test_many_that_no_replica_has(streamq: Run, client: redis.Redis, scratch: Path) -> None:
    (scratch / "f").write_text("{}\n" * 700)

    code, out, err = streamq("produce", "-f", "f", "-q", *WAITING)

    assert code == 1
    assert out.split() == ids_of(client)
    assert err.startswith("streamq: 500 jobs, ")
    assert err.endswith("; 500 jobs were written, up to line 500\n")


def test_a_number_that_cannot_be_used(streamq: Run, client: redis.Redis) -> None:
    code, _, err = streamq("produce", "a=1", "--replicas", "1", "--replica-timeout", "0")

    assert code == 2
    assert "--replica-timeout" in err
    assert client.keys("*") == []
