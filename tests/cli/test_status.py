"""``streamq status``: one job, in every group."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import anyio
import redis

from tests.cli.support import Result
from tests.servers import RedisServer
from tests.situations import add, fail, read, succeed

Streamq = Callable[..., Result]


def test_every_group(streamq: Streamq, server: RedisServer, client: redis.Redis) -> None:
    job_id = add(client, {"type": "resize", "data": '{"file":"a\u009b.png"}'})
    client.xgroup_create("jobs", "late", "0")
    read(client, "web-1", group="audit")
    anyio.run(partial(succeed, server.unix_url, {"width": 64}))
    result = streamq("status", job_id)
    assert (result.code, result.err) == (0, "")
    about, audit, images, late = result.out.split("\n\n")
    assert about.splitlines()[0] == f"job      {job_id}"
    assert 'data     {"file":"a\\x9b.png"}' in about.splitlines()
    assert "status    running" in audit
    assert "consumer  web-1 (alive)" in audit
    assert "status    succeeded" in images
    assert 'result    {"width":64}' in images
    assert "took" in images
    assert "status  queued" in late


def test_retrying_and_dead(streamq: Streamq, server: RedisServer, client: redis.Redis) -> None:
    job_id = add(client, {"type": "resize", "data": "{}"})
    anyio.run(partial(fail, server.unix_url, retries=3))
    out = streamq("status", job_id).out
    assert "status        retrying" in out
    assert "error         disk full" in out
    assert "next attempt  in " in out
    streamq("pending", "retry", job_id)
    assert "next attempt  now" in streamq("status", job_id).out
    anyio.run(partial(fail, server.unix_url, retries=0))
    out = streamq("status", job_id).out
    assert "status       dead" in out
    assert "attempts     2" in out


def test_the_attempts_of_one_that_failed(
    streamq: Streamq, server: RedisServer, client: redis.Redis
) -> None:
    job_id = add(client, {"type": "resize", "data": "{}"})
    anyio.run(partial(fail, server.unix_url, retries=3, delay=0))
    anyio.run(partial(succeed, server.unix_url))
    title, first, last = streamq("status", job_id).out.splitlines()[-3:]
    assert title.split() == ["ATTEMPT", "OUTCOME", "STARTED", "TOOK", "CONSUMER", "ERROR"]
    assert first.split()[:2] == ["1", "failed"]
    assert first.endswith("  disk full")
    assert last.split()[:2] == ["2", "succeeded"]
    [group] = json.loads(streamq("status", job_id, "--json").out)["groups"]
    assert [attempt["outcome"] for attempt in group["history"]] == ["failed", "succeeded"]
    assert set(group["history"][0]) == {
        "number", "outcome", "consumer", "started_at", "seconds", "error",
    }  # fmt: skip


def test_json(streamq: Streamq, client: redis.Redis) -> None:
    job_id = add(client, {"data": '{"n":123456789012345678901234567890}'})
    client.xgroup_create("jobs", "images", "0")
    result = streamq("status", job_id, "--json")
    assert '"data":{"n":123456789012345678901234567890}' in result.out
    job = json.loads(result.out)
    assert (job["id"], job["in_stream"]) == (job_id, True)
    assert [(group["group"], group["state"]) for group in job["groups"]] == [("images", "queued")]


def test_no_group_yet(streamq: Streamq, client: redis.Redis) -> None:
    job_id = add(client, {"data": "{}"})
    assert "No group has been created on this stream yet" in streamq("status", job_id).out


def test_the_old_id_of_a_redriven_job(
    streamq: Streamq, server: RedisServer, client: redis.Redis
) -> None:
    job_id = add(client, {"data": "{}"})
    client.xgroup_create("jobs", "audit", "0")  # which keeps the entry
    anyio.run(partial(fail, server.unix_url, retries=0))
    assert streamq("dlq", "redrive", job_id, "--group", "images").code == 0

    out = streamq("status", job_id, "--group", "images").out
    assert "status  settled" in out
    assert out.endswith(", or the job was redriven under a new ID\n")


def test_no_trace(streamq: Streamq, client: redis.Redis) -> None:
    client.xgroup_create("jobs", "images", mkstream=True)
    result = streamq("status", "1-1")
    assert (result.code, result.out) == (1, "")
    assert "no trace of the job 1-1" in result.err
    assert streamq("status", "first").code == 2
    assert streamq("status", "1-1", "--group", "audit").code == 1
