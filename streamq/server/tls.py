"""TLS: the files that it needs, and why a connection could not be made secure."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from typing import Any

from redis.asyncio.connection import AbstractConnection, RedisSSLContext, SSLConnection

from streamq.errors import ConfigError, TLSFailed
from streamq.text import printable

# OpenSSL's numbers for what is wrong with a certificate.
_NOT_YET, _EXPIRED = 9, 10
_OTHER_HOST = (62, 63, 64)  # its name, its mail address, its IP address

_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")
_NO_CERTIFICATE = ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_NO_CERTIFICATE")
_ABOUT_CERTIFICATE = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")
_CLOSED = (
    ConnectionResetError, BrokenPipeError, EOFError, ssl.SSLEOFError, ssl.SSLZeroReturnError,
)  # fmt: skip


class SecureConnection(SSLConnection):
    """A connection of redis-py's with TLS that is gone once it is closed.

    TLS says goodbye, and waits for the other side to do the same: an event loop that ends
    before that leaves the connection behind, or fails itself.

    Attributes:
        fault: what broke it. Whoever was writing then is only told that it is lost.
    """

    fault: Exception | None = None

    async def disconnect(self, *args: Any, **options: Any) -> None:
        """Close it at once."""
        if self._reader is not None:
            self.fault = self.fault or self._reader.exception()
        if self._writer is not None:
            self._writer.transport.abort()
        await super().disconnect(*args, **options)


def check_files(context: RedisSSLContext, where: str) -> None:
    """Read the certificates and the key that a URL names.

    Raises:
        ConfigError: one of them is not there, or not what it should be.
    """
    for option, path in (
        ("ssl_ca_certs", context.ca_certs),
        ("ssl_ca_path", context.ca_path),
        ("ssl_certfile", context.certfile),
        ("ssl_keyfile", context.keyfile),
    ):
        if path is None:
            continue
        try:
            os.scandir(path).close() if option == "ssl_ca_path" else open(path, "rb").close()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise ConfigError(
                f"{option} in the URL of {where}: cannot read {printable(path, 200)}: {why}"
            ) from None
    if context.keyfile is not None and context.certfile is None:
        raise ConfigError(f"ssl_keyfile in the URL of {where} needs its ssl_certfile")
    try:
        context.get()
    except (OSError, ValueError) as error:
        told = getattr(error, "reason", None) or error
        raise ConfigError(
            f"the URL of {where} names a certificate, a key, its password (ssl_password) or a "
            f"version of TLS (ssl_min_version=771 or 772) that cannot be used: "
            f"{printable(told, 100)}"
        ) from None


def tls_failure(
    error: BaseException, connection: AbstractConnection, where: str
) -> TLSFailed | None:
    """What TLS has to say of an error; ``None`` when the error is not its own.

    Args:
        error: what redis-py raised when it opened the connection, with its causes.
        where: the server's address, as it may be shown.
    """
    broke = connection.fault if isinstance(connection, SecureConnection) else None
    causes = [*_chain(error), *_chain(broke)]
    fault = next((one for one in causes if isinstance(one, ssl.SSLError)), None)
    if fault is None or isinstance(fault, _CLOSED):
        return None
    if isinstance(fault, ssl.SSLCertVerificationError):
        return TLSFailed(_of_certificate(fault, where))
    reason = fault.reason or ""
    if reason in _NO_TLS:
        return TLSFailed(f"{where} does not speak TLS: write redis:// in the URL, or its TLS port")
    if reason in _NO_CERTIFICATE:
        return TLSFailed(
            f"{where} asks for a client certificate: "
            "name it in the URL with ssl_certfile=FILE&ssl_keyfile=FILE"
        )
    told = printable(reason.lower().replace("_", " ") or fault, 100)
    if any(word in reason for word in _ABOUT_CERTIFICATE):
        return TLSFailed(
            f"{where} does not accept the client certificate ({told}): "
            "check ssl_certfile and ssl_keyfile in the URL"
        )
    return TLSFailed(
        f"TLS with {where} failed ({told}): it may ask for a client certificate (ssl_certfile, "
        "ssl_keyfile) or another version of TLS"
    )


def was_closed(error: BaseException) -> bool:
    """Whether the other side took the connection and closed it without a word."""
    return any(isinstance(one, _CLOSED) or "closed by server" in str(one) for one in _chain(error))


def _of_certificate(fault: ssl.SSLCertVerificationError, where: str) -> str:
    if fault.verify_code == _EXPIRED:
        return f"the certificate of {where} has expired: renew it on the server"
    if fault.verify_code == _NOT_YET:
        return f"the certificate of {where} is not valid yet: check the clocks of both machines"
    if fault.verify_code in _OTHER_HOST:
        return f"the certificate of {where} is for another host: write a name that is in it"
    return (
        f"the certificate of {where} is not trusted ({printable(fault.verify_message, 100)}): "
        "name the CA that signed it in the URL with ssl_ca_certs=FILE"
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
