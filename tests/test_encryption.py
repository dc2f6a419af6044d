"""Encrypted data: what is in Redis, and who can read it."""

from __future__ import annotations

import base64
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
import redis

from streamq import App, Dead, Job, Settings, testing
from streamq.admin import Admin
from streamq.encryption import ENV_KEYS, EncryptingCodec, _Key, new_key
from streamq.errors import ConfigError, InvalidEntry, PayloadError
from streamq.wire.encrypted import MAGIC, encrypted_with
from tests.servers import RedisServer
from tests.test_codec import Gzip
from tests.worker.support import Outcome, drain

pytestmark = pytest.mark.anyio

SECRET = "ann@example.org"
OLD, NEW = (base64.urlsafe_b64encode(bytes([n]) * 32).decode() for n in (1, 2))


def everything(client: redis.Redis) -> bytes:
    """All that a server holds, as bytes to look for a secret in."""
    return b"".join(client.dump(key) or b"" for key in raw_keys(client))


def raw_keys(client: redis.Redis) -> list[Any]:
    found: Any = client.keys("*")
    return list(found)


# -- the form -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("byte", "plain", "data", "sealed"),
    [
        (1, b"XAES-256-GCM", b"", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
        (
            3, b"XAES-256-GCM", b"c2sp.org/XAES-256-GCM",
            "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d",
        ),
    ],
)  # fmt: skip
def test_it_is_xaes_256_gcm(byte: int, plain: bytes, data: bytes, sealed: str) -> None:
    """The vectors of its specification."""
    nonce = b"ABCDEFGHIJKLMNOPQRSTUVWX"
    derived = _Key(bytes([byte]) * 32)._derive(nonce[:12])
    assert derived.encrypt(nonce[12:], plain, data).hex() == sealed


def test_what_was_written_can_be_read() -> None:
    codec = EncryptingCodec(OLD)
    raws = [codec.encode({"a": n}) for n in range(50)]
    assert [codec.decode(raw) for raw in raws] == [{"a": n} for n in range(50)]
    assert len(set(raws)) == 50
    assert len({codec.encode({}) for _ in range(50)}) == 50, "no two are alike"
    assert all(raw.startswith(MAGIC) for raw in raws)
    assert {encrypted_with(raw) for raw in raws} == set(codec.key_ids)


def test_another_key_is_derived_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamq.encryption._MESSAGES", 3)
    monkeypatch.setattr("streamq.encryption._REMEMBERED", 2)
    codec = EncryptingCodec(OLD)
    raws = [codec.encode(n) for n in range(12)]
    assert len({raw[8:20] for raw in raws}) == 4
    assert [EncryptingCodec(OLD).decode(raw) for raw in raws] == list(range(12))


def test_keys_in_every_form(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = bytes([1]) * 32
    same: Sequence[Any] = (
        OLD, OLD.rstrip("="), OLD.encode(), raw, [raw], base64.b64encode(raw), f" {OLD}\n",
    )  # fmt: skip
    for given in same:
        assert EncryptingCodec(given).key_ids == EncryptingCodec(OLD).key_ids
    both = EncryptingCodec([NEW, OLD]).key_ids
    assert EncryptingCodec(f"{NEW},{OLD}").key_ids == EncryptingCodec(f"{NEW} {OLD}").key_ids
    assert EncryptingCodec(f"{NEW} {OLD}").key_ids == both
    monkeypatch.setenv(ENV_KEYS, f"{NEW} {OLD}")
    assert EncryptingCodec().key_ids == both
    assert EncryptingCodec(new_key()).key_ids not in (both, both[:1])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "keys has no key"), ([], "keys has no key"),
        ("secret", "no key of 32 bytes"), (b"\xff" * 31, "no key of 32 bytes"),
        ("ä" * 43, "no key of 32 bytes"), ([OLD, OLD], "given twice"),
        ([7], "not int"), (None, "STREAMQ_KEYS has no key"),
    ],
)  # fmt: skip
def test_what_is_no_key(given: Any, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENV_KEYS, raising=False)
    with pytest.raises(ConfigError, match=said) as refused:
        EncryptingCodec(given)
    assert "secret" not in str(refused.value)


def test_no_key_is_shown_and_a_codec_can_be_pickled() -> None:
    codec = EncryptingCodec([NEW, OLD], plaintext=True)
    shown = repr(codec)
    assert NEW.rstrip("=") not in shown
    assert codec.key_ids[0] in shown
    other = pickle.loads(pickle.dumps(codec))
    assert other.key_ids == codec.key_ids
    assert other.decode(codec.encode([1])) == [1]


def test_a_change_of_keys() -> None:
    """The new one in front; then the old one goes."""
    before, meanwhile, after = (EncryptingCodec(keys) for keys in (OLD, [NEW, OLD], NEW))
    assert meanwhile.decode(before.encode("old")) == "old"
    assert after.decode(meanwhile.encode("new")) == "new"
    with pytest.raises(InvalidEntry, match=r"with the key \w{8}, and the app has only \w{8}$"):
        after.decode(before.encode("old"))


@pytest.mark.parametrize("place", [4, 8, 20, 32, -1])
def test_data_that_was_changed(place: int) -> None:
    codec = EncryptingCodec(OLD)
    raw = bytearray(codec.encode({"a": 1}))
    raw[place] ^= 1
    with pytest.raises(InvalidEntry):
        codec.decode(bytes(raw))


@pytest.mark.parametrize("length", [4, 8, 20, 47, 52])
def test_data_that_was_cut_off(length: int) -> None:
    codec = EncryptingCodec(OLD)
    with pytest.raises(InvalidEntry):
        codec.decode(codec.encode({"a": 1})[:length])


def test_an_inner_codec_and_plaintext() -> None:
    codec = EncryptingCodec(OLD, Gzip())
    assert codec.decode(codec.encode({"a": 1})) == {"a": 1}
    assert Gzip().decode(codec.decrypt(codec.encode({"a": 1}))) == {"a": 1}
    with pytest.raises(InvalidEntry, match="not encrypted"):
        EncryptingCodec(OLD).decode(b'{"a":1}')
    assert EncryptingCodec(OLD, plaintext=True).decode(b'{"a":1}') == {"a": 1}


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(ConfigError, match=r"pip install 'streamq\[encryption\]'"):
        EncryptingCodec(OLD)
    made = subprocess.run(
        [sys.executable, "-m", "streamq.encryption"], capture_output=True, text=True, check=True
    )
    assert EncryptingCodec is not None
    assert len(made.stdout.strip()) == 43


# -- jobs ---------------------------------------------------------------------


async def test_nothing_of_a_job_can_be_read_in_the_server(
    server: RedisServer, client: redis.Redis
) -> None:
    """Neither in the stream, nor later in a record, a result, a schedule or a dead letter."""
    seen: list[str] = []
    async with App(server.unix_url, codec=EncryptingCodec(OLD)) as app:

        @app.handler("mail")
        async def mail(job: Job, address: str) -> dict[str, str]:
            seen.append(address)
            job.emit("sent", {"address": address})
            return {"sent_to": address}

        @app.handler("sent")
        async def sent(address: str) -> None:
            raise Dead("no such thing")

        @app.handler("strict")
        async def strict(address: int) -> None: ...

        jobs = [await app.produce("mail", {"address": SECRET}) for _ in range(2)]
        await app.produce("mail", {"address": SECRET}, delay=3600)
        await app.produce("strict", {"address": SECRET})
        assert SECRET.encode() not in everything(client)
        await drain(app, settings=Settings())
        assert SECRET.encode() not in everything(client)

        assert seen == [SECRET] * 2
        status = await app.admin.status("jobs", jobs[0].id)
        assert status.to_dict()["data"] == {"address": SECRET}
        [group] = status.groups
        assert (group.state, group.result) == ("succeeded", {"sent_to": SECRET})
        [later] = [job async for job in app.admin.scheduled("jobs")]
        assert later.data == {"address": SECRET}
        letters = {
            letter.type: letter async for letter in app.admin.dead_letters("jobs", "default").list()
        }
        assert letters["sent"].data == {"address": SECRET}
        assert letters["strict"].reason == "invalid arguments"
        assert letters["strict"].error.startswith("address: Input should be a valid integer")

        blind = Admin(app.server)
        [key] = EncryptingCodec(OLD).key_ids
        [group] = (await blind.status("jobs", jobs[0].id)).groups
        assert (group.result, group.note) == (None, f"the result is encrypted with the key {key}")
        letter = await blind.dead_letters("jobs", "default").get(letters["sent"].job_id)
        assert letter.to_dict()["encrypted_with"] == key
        with pytest.raises(InvalidEntry, match=f"encrypted with the key {key}: give the App"):
            _ = letter.data


@pytest.mark.parametrize(
    ("codec", "said"),
    [
        (None, "the data is encrypted with the key .*: give the App the codec"),
        (EncryptingCodec(NEW), "the data is encrypted with the key .* and the app has only"),
    ],
    ids=["no key", "another key"],
)
async def test_an_app_without_the_key(
    codec: EncryptingCodec | None, said: str, server: RedisServer
) -> None:
    """Its jobs are dead letters; redriven, one with the key does them."""
    async with App(server.unix_url, codec=EncryptingCodec(OLD)) as app:
        await app.produce("a", {"n": 1})
        async with App(server.unix_url, codec=codec) as other:
            other.handler("a")(lambda n: None)
            [verdict] = (await drain(other)).verdicts
        assert (verdict.outcome, verdict.reason) == (Outcome.DEAD, "invalid entry")
        assert re.search(said, verdict.error)
        seen: list[int] = []

        @app.handler("a")
        async def handle(n: int) -> None:
            seen.append(n)

        await app.admin.dead_letters("jobs", "default").redrive_all()
        await drain(app)
    assert seen == [1]


async def test_what_is_not_encrypted_is_a_dead_letter(
    server: RedisServer, client: redis.Redis
) -> None:
    client.xadd("jobs", {"type": "a", "data": '{"n":1}'})
    client.xadd("jobs", {"type": "a", "data": os.urandom(100)})
    client.xadd("jobs", {"type": "a", "data": MAGIC})
    async with App(server.unix_url, codec=EncryptingCodec(OLD)) as app:

        @app.handler("a")
        async def handle(n: int) -> None: ...

        verdicts = (await drain(app)).verdicts
    assert [v.outcome for v in verdicts] == [Outcome.DEAD] * 3
    assert {v.reason for v in verdicts} == {"invalid entry"}


async def test_a_change_over_of_a_stream_with_jobs(server: RedisServer) -> None:
    async with App(server.unix_url) as plain:
        await plain.produce("a", {"n": 1})
    seen: list[int] = []
    async with App(server.unix_url, codec=EncryptingCodec(OLD, plaintext=True)) as app:

        @app.handler("a")
        async def handle(n: int) -> None:
            seen.append(n)

        await app.produce("a", {"n": 2})
        await drain(app)
    assert seen == [1, 2]


def in_a_process(job: Job, address: str) -> str:
    job.emit("b", {"address": address})
    return f"{job.data['address']} {type(job).codec}"


async def test_a_handler_in_a_process(server: RedisServer, client: redis.Redis) -> None:
    async with App(server.unix_url, codec=EncryptingCodec(OLD)) as app:
        app.handler("a", process=True)(in_a_process)

        @app.handler("b")
        async def handle(address: str) -> str:
            return address

        job = await app.produce("a", {"address": SECRET})
        watch = await drain(app, settings=Settings())
        assert watch.outcomes == [Outcome.SUCCEEDED] * 2
        [group] = (await app.admin.status("jobs", job.id)).groups
        assert group.result.startswith(f"{SECRET} <EncryptingCodec")
    assert SECRET.encode() not in everything(client)


async def test_what_cannot_be_written(app: App) -> None:
    app.codec = EncryptingCodec(OLD)
    with pytest.raises(PayloadError, match=r"^the data cannot be written as JSON"):
        await app.produce("a", {"n": float("nan")})


async def test_inline() -> None:
    app = App(codec=EncryptingCodec(OLD))

    @app.handler("a")
    async def handle(job: Job, n: int) -> int:
        job.emit("b", {"n": n})
        return n

    done = await testing.handle(app, "a", {"n": 1})
    assert done.data == done.emitted[0].data == {"n": 1}
    assert done.result == 1
