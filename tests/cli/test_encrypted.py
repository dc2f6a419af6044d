"""What the commands show of encrypted data, with the key and without."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import anyio
import pytest
import redis

from streamq import App, Retry
from streamq.encryption import ENV_KEYS, EncryptingCodec, new_key
from tests.cli.support import Result
from tests.servers import RedisServer

Streamq = Callable[..., Result]

SECRET = "ann@example.org"
APP = """
from streamq import App, Job
from streamq.encryption import EncryptingCodec

app = App(codec=EncryptingCodec())

@app.handler("mail", retries=1)
async def mail(address: str) -> None: ...
"""


class Stage(NamedTuple):
    """There is a dead job, one that waits for a retry, and one that is done.

    Attributes:
        key: the ID of the key.
        ids: those of the jobs.
    """

    key: str
    ids: dict[str, str]

    def words(self, command: str) -> list[str]:
        return command.format(**self.ids).split()


@pytest.fixture
def stage(server: RedisServer, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    keys = new_key()
    monkeypatch.setenv(ENV_KEYS, keys)
    monkeypatch.delitem(sys.modules, "secret_app", raising=False)
    (scratch / "secret_app.py").write_text(APP)
    codec = EncryptingCodec(keys)

    async def main() -> dict[str, str]:
        async with App(server.unix_url, codec=codec) as app:

            @app.handler("dead", retries=0)
            async def dead(address: str) -> None:
                raise ValueError("no")

            @app.handler("later")
            async def later(address: str) -> None:
                raise Retry("busy", delay=3600)

            @app.handler("done")
            async def done(address: str) -> str:
                return address

            ids = {
                type: (await app.produce(type, {"address": SECRET})).id
                for type in ("dead", "later", "done")
            }
            await app.worker(max_jobs=3).run()
            return ids

    return Stage(codec.key_ids[0], anyio.run(main))


COMMANDS = ["pending", "dlq list", "dlq show {dead}", "status {later}", "status {done}"]


@pytest.mark.parametrize("command", COMMANDS)
def test_without_the_key(
    command: str, stage: Stage, streamq: Streamq, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ENV_KEYS)
    result = streamq(*stage.words(command))
    assert result.code == 0
    assert f"encrypted with the key {stage.key}" in result.out
    assert SECRET not in result.out
    assert "\\x" not in result.out

    result = streamq(*stage.words(command), "--json")
    assert SECRET not in result.out
    assert "\\x" not in result.out
    if command != "pending":
        assert json.loads(result.out)["encrypted_with"] == stage.key


@pytest.mark.parametrize("command", COMMANDS)
def test_with_the_app(command: str, stage: Stage, streamq: Streamq) -> None:
    result = streamq(*stage.words(command), "--app", "secret_app:app")
    assert (result.code, result.err) == (0, "")
    assert f'{{"address":"{SECRET}"}}' in result.out
    assert "encrypted with" not in result.out

    result = streamq(*stage.words(command), "--app", "secret_app:app", "--json")
    assert SECRET in result.out
    if "done" in command:
        assert json.loads(result.out)["groups"][0]["result"] == SECRET


def test_an_app_whose_key_is_missing(
    stage: Stage, streamq: Streamq, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ENV_KEYS)
    monkeypatch.setenv("STREAMQ_APP", "secret_app:app")
    result = streamq("dlq", "list")
    assert "STREAMQ_KEYS has no key: make one with streamq key new" in result.err
    assert f"encrypted with the key {stage.key}" in result.out
    assert streamq("consume", "--burst", "--metrics-port", "0").code == 2


def test_consume_without_an_app_says_what_is_missing(
    streamq: Streamq, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    raw = EncryptingCodec(new_key()).encode({"address": SECRET})
    client.xadd("jobs", {"type": "mail", "data": raw})
    result = streamq("consume", "--burst", "--metrics-port", "0")
    assert "\\x" not in result.out
    assert "the data is encrypted with the key" in caplog.text


def test_a_new_key(streamq: Streamq, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = streamq("key", "new"), streamq("key", "new")
    assert first.code == 0
    assert first.out != second.out
    assert EncryptingCodec(first.out).key_ids
