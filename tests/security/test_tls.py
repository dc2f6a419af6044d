"""TLS against a server with certificates of the tests' own."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from streamq import App
from streamq.errors import ConfigError, ServerUnavailable, StreamqError, TLSFailed
from streamq.server.address import Address
from tests.cli.support import Program, Result
from tests.security.tls import TlsFront
from tests.servers import RedisServer
from tests.worker.support import drain

HOST = "127.0.0.1"

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ENDED = datetime(2021, 1, 1, tzinfo=UTC)
NOT_YET = datetime(2100, 1, 1, tzinfo=UTC)


class Files(NamedTuple):
    """Certificates and keys on disk, as a URL names them."""

    ca: Path
    other_ca: Path
    certificate: Path
    key: Path
    foreign_certificate: Path
    foreign_key: Path

    @property
    def trust(self) -> str:
        """The option that trusts the CA."""
        return f"?ssl_ca_certs={self.ca}"

    @property
    def client(self) -> str:
        """The options for a client certificate of the CA's."""
        return f"{self.trust}&ssl_certfile={self.certificate}&ssl_keyfile={self.key}"

    @property
    def foreign_client(self) -> str:
        """The options for a client certificate of another CA's."""
        certificate, key = self.foreign_certificate, self.foreign_key
        return f"{self.trust}&ssl_certfile={certificate}&ssl_keyfile={key}"


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    """Signs the servers' certificates."""
    return trustme.CA()


@pytest.fixture(scope="module")
def files(ca: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """What a client is given."""
    directory = tmp_path_factory.mktemp("tls")
    other = trustme.CA()
    paths = Files(*(directory / f"{name}.pem" for name in Files._fields))
    ca.cert_pem.write_to_path(str(paths.ca))
    other.cert_pem.write_to_path(str(paths.other_ca))
    for one, certificate, key in (
        (ca, paths.certificate, paths.key),
        (other, paths.foreign_certificate, paths.foreign_key),
    ):
        issued = one.issue_cert("worker@example.org")
        issued.cert_chain_pems[0].write_to_path(str(certificate))
        issued.private_key_pem.write_to_path(str(key))
    return paths


def context_for(
    issued: trustme.LeafCert, *, clients_of: trustme.CA | None = None
) -> ssl.SSLContext:
    """A server's: its certificate, and whose clients it takes; ``None`` for any."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    issued.configure_cert(context)
    if clients_of is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        clients_of.configure_trust(context)
    return context


@pytest.fixture
def secure(server: RedisServer, ca: trustme.CA) -> Iterator[TlsFront]:
    """A server that speaks TLS, with a certificate in good order."""
    with TlsFront(server, context_for(ca.issue_cert(HOST))) as front:
        yield front


@pytest.fixture
def demanding(server: RedisServer, ca: trustme.CA) -> Iterator[TlsFront]:
    """One that asks for a client certificate."""
    with TlsFront(server, context_for(ca.issue_cert(HOST), clients_of=ca)) as front:
        yield front


# -- as it should be ----------------------------------------------------------


async def write_and_work(url: str, jobs: int = 20) -> None:
    """Produce and consume, the library's way."""
    seen: list[int] = []
    async with App(url) as app:

        @app.handler("t")
        async def handle(n: int) -> None:
            seen.append(n)

        await app.produce_many([("t", {"n": n}) for n in range(jobs)])
        await drain(app)
    assert sorted(seen) == list(range(jobs))


@pytest.mark.anyio
async def test_jobs_over_tls(secure: TlsFront, files: Files) -> None:
    await write_and_work(secure.url + files.trust)


@pytest.mark.anyio
async def test_jobs_over_tls_with_a_client_certificate(demanding: TlsFront, files: Files) -> None:
    await write_and_work(demanding.url + files.client)


@pytest.mark.anyio
async def test_large_jobs_over_tls(secure: TlsFront, files: Files) -> None:
    """Larger than a record of TLS, and than what is read at once."""
    seen: list[str] = []
    async with App(secure.url + files.trust) as app:

        @app.handler("t")
        async def handle(text: str) -> None:
            seen.append(text)

        texts = [letter * 900_000 for letter in "abc"]
        await app.produce_many([("t", {"text": text}) for text in texts])
        await drain(app)
    assert sorted(seen) == texts


def test_commands_over_tls(
    secure: TlsFront, files: Files, start: Callable[..., Program], streamq: Callable[..., Result]
) -> None:
    url = secure.url + files.trust
    assert streamq("produce", "n=1", "--url", url).code == 0
    ended = start("consume", "--burst", "--metrics-port", "0", "--url", url).end()
    assert ended.code == 0
    assert 'with payload {"n":"1"}' in ended.out
    assert f"from {secure.where}, " in ended.err


@pytest.mark.anyio
async def test_a_password_over_tls(
    make_server: Callable[..., RedisServer], ca: trustme.CA, files: Files
) -> None:
    server = make_server("--requirepass", "pw")
    with TlsFront(server, context_for(ca.issue_cert(HOST))) as front:
        await write_and_work(front.url.replace("//", "//:pw@") + files.trust)


# -- checking is on unless it is turned off -----------------------------------


@pytest.mark.parametrize("options", ["", "?ssl_cert_reqs=required", "?ssl_cert_reqs=optional"])
@pytest.mark.anyio
async def test_certificates_are_checked(secure: TlsFront, options: str) -> None:
    async with App(secure.url + options) as app:
        with pytest.raises(TLSFailed, match="is not trusted"):
            await app.produce("t")


@pytest.mark.anyio
async def test_checking_is_turned_off_by_one_option_only(secure: TlsFront) -> None:
    await write_and_work(f"{secure.url}?ssl_cert_reqs=none", 1)


@pytest.mark.anyio
async def test_the_host_alone_can_be_left_unchecked(
    server: RedisServer, ca: trustme.CA, files: Files
) -> None:
    with TlsFront(server, context_for(ca.issue_cert("other.example"))) as front:
        await write_and_work(f"{front.url}{files.trust}&ssl_check_hostname=false", 1)
        async with App(f"{front.url}?ssl_check_hostname=false") as app:
            with pytest.raises(TLSFailed, match="is not trusted"):
                await app.produce("t")


# -- what goes wrong ----------------------------------------------------------


class Case(NamedTuple):
    """A connection that cannot be made.

    Attributes:
        front: what listens, given the CA.
        options: of the URL.
        message: what is said, after the address.
    """

    front: Callable[[trustme.CA], ssl.SSLContext]
    options: Callable[[Files], str]
    message: str


def good(ca: trustme.CA) -> ssl.SSLContext:
    return context_for(ca.issue_cert(HOST))


def demand(ca: trustme.CA) -> ssl.SSLContext:
    return context_for(ca.issue_cert(HOST), clients_of=ca)


def old_and_demanding(ca: trustme.CA) -> ssl.SSLContext:
    context = demand(ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


CASES = {
    "unknown CA": Case(
        good,
        lambda files: "",
        "the certificate of {where} is not trusted (unable to get local issuer certificate): "
        "name the CA that signed it in the URL with ssl_ca_certs=FILE",
    ),
    "another CA": Case(
        good,
        lambda files: f"?ssl_ca_certs={files.other_ca}",
        "the certificate of {where} is not trusted (unable to get local issuer certificate): "
        "name the CA that signed it in the URL with ssl_ca_certs=FILE",
    ),
    "another host": Case(
        lambda ca: context_for(ca.issue_cert("other.example")),
        lambda files: files.trust,
        "the certificate of {where} is for another host: write a name that is in it",
    ),
    "expired": Case(
        lambda ca: context_for(ca.issue_cert(HOST, not_before=LONG_AGO, not_after=ENDED)),
        lambda files: files.trust,
        "the certificate of {where} has expired: renew it on the server",
    ),
    "not yet valid": Case(
        lambda ca: context_for(ca.issue_cert(HOST, not_before=NOT_YET)),
        lambda files: files.trust,
        "the certificate of {where} is not valid yet: check the clocks of both machines",
    ),
    "no client certificate": Case(
        demand,
        lambda files: files.trust,
        "{where} asks for a client certificate: name it in the URL with "
        "ssl_certfile=FILE&ssl_keyfile=FILE",
    ),
    "a foreign client certificate": Case(
        demand,
        lambda files: files.foreign_client,
        "{where} does not accept the client certificate (tlsv1 alert unknown ca): "
        "check ssl_certfile and ssl_keyfile in the URL",
    ),
    "no client certificate, TLS 1.2": Case(
        old_and_demanding,
        lambda files: files.trust,
        "TLS with {where} failed (sslv3 alert handshake failure): it may ask for a client "
        "certificate (ssl_certfile, ssl_keyfile) or another version of TLS",
    ),
    "too old": Case(
        old_and_demanding,
        lambda files: f"{files.client}&ssl_min_version=772",
        "TLS with {where} failed (tlsv1 alert protocol version): it may ask for a client "
        "certificate (ssl_certfile, ssl_keyfile) or another version of TLS",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
@pytest.mark.anyio
async def test_a_connection_that_cannot_be_made_secure(
    case: Case, server: RedisServer, ca: trustme.CA, files: Files
) -> None:
    """The library says at once why; a key or a time does not make it try again."""
    with TlsFront(server, case.front(ca)) as front:
        async with App(front.url + case.options(files)) as app:
            app.handler("t")(lambda: None)
            for call in (
                lambda: app.produce("t"),
                lambda: app.produce("t", unique="k"),
                lambda: app.worker().run(),
            ):
                with pytest.raises(TLSFailed) as caught:
                    await call()
                assert str(caught.value) == case.message.format(where=front.where)
                assert not caught.value.passing


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
@pytest.mark.parametrize(
    "command",
    [["produce", "a=1"], ["consume", "--metrics-port", "0"], ["consume", "-p", "2"]],
    ids=" ".join,
)
def test_a_command_whose_connection_cannot_be_made_secure(
    command: list[str], case: Case, server: RedisServer, ca: trustme.CA, files: Files,
    streamq: Callable[..., Result],
) -> None:  # fmt: skip
    with TlsFront(server, case.front(ca)) as front:
        result = streamq(*command, "--url", front.url + case.options(files))
        assert result == (69, "", f"streamq: {case.message.format(where=front.where)}\n")


@pytest.mark.anyio
async def test_tls_spoken_to_a_port_without(
    server: RedisServer, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may wait for a line that never ends, or take the greeting for a wrong command."""
    monkeypatch.setattr("streamq.server.opening.CONNECT_TIMEOUT", 0.5)
    async with App(server.url.replace("redis://", "rediss://") + files.trust) as app:
        with pytest.raises(StreamqError, match=r"speaks? TLS") as caught:
            await app.produce("t")
    assert f"127.0.0.1:{server.port}" in str(caught.value)


@pytest.mark.anyio
async def test_a_server_that_closes_without_a_word(ca: trustme.CA, files: Files) -> None:
    """So looks a server whose alert was lost with the connection."""

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(close, HOST, 0, ssl=good(ca))
    where = f"{HOST}:{server.sockets[0].getsockname()[1]}"
    async with server, App(f"rediss://{where}{files.trust}") as app:
        with pytest.raises(ServerUnavailable) as caught:
            await app.produce("t")
    assert str(caught.value) == (
        f"cannot connect to {where}: it took the connection and closed it; "
        "if it asks for a client certificate, name it with ssl_certfile and ssl_keyfile"
    )


@pytest.mark.anyio
async def test_no_tls_spoken_to_a_port_with(secure: TlsFront) -> None:
    async with App(secure.url.replace("rediss://", "redis://")) as app:
        with pytest.raises(ServerUnavailable) as caught:
            await app.produce("t")
    assert str(caught.value) == (
        f"cannot connect to {secure.where}: it took the connection and closed it; "
        "if it speaks TLS, write rediss:// in the URL"
    )


# -- what the URL names -------------------------------------------------------


@pytest.mark.parametrize("option", ["ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile"])
def test_a_file_that_is_not_there(option: str, streamq: Callable[..., Result]) -> None:
    result = streamq("produce", "a=1", "--url", f"rediss://:pw@host?{option}=/nope/at%1ball")
    assert result == (
        2,
        "",
        f"streamq: {option} in the URL of host:6379: cannot read /nope/at\\x1ball: "
        "No such file or directory\n",
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("ssl_ca_certs={key}", "cannot be used"),
        ("ssl_certfile={ca}", "cannot be used"),
        ("ssl_certfile={certificate}&ssl_keyfile={foreign_key}", "cannot be used: KEY_VALUES_MIS"),
        ("ssl_keyfile={key}", "ssl_keyfile in the URL of host:6379 needs its ssl_certfile"),
        ("ssl_min_version=5", "is '5': give 771 for TLS 1.2 or 772 for TLS 1.3"),
        ("ssl_cert_reqs=perhaps", "is 'perhaps': give required, optional or none"),
        ("ssl_check_hostname=perhaps", "is 'perhaps': give true or false"),
        ("ssl_keyfile_password=s3cret", "does not know: ssl_keyfile_password"),
    ],
)
def test_what_cannot_be_used(options: str, message: str, files: Files) -> None:
    with pytest.raises(ConfigError) as caught:
        Address(f"rediss://host?{options.format(**files._asdict())}")
    assert message in str(caught.value)
    assert "host:6379" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["redis://host", "unix:///path"])
@pytest.mark.parametrize("option", ["ssl_ca_certs=/a", "ssl_cert_reqs=none", "ssl_password=s3cret"])
def test_an_option_for_tls_without_tls(url: str, option: str) -> None:
    with pytest.raises(ConfigError, match=r"option that is for rediss:// only: ssl_") as caught:
        Address(f"{url}?{option}")
    assert "s3cret" not in str(caught.value)


def test_a_key_with_a_password(files: Files, tmp_path: Path) -> None:
    """It is never asked for at a terminal: a service has none."""
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"s3cret"),
        )
    )
    url = f"rediss://host?ssl_certfile={files.certificate}&ssl_keyfile={locked}"
    Address(f"{url}&ssl_password=s3cret")
    for wrong in (url, f"{url}&ssl_password=wr0ng"):
        with pytest.raises(ConfigError, match=r"its password \(ssl_password\)") as caught:
            Address(wrong)
        assert "wr0ng" not in str(caught.value)
