"""TLS: the files that it needs, and why a connection could not be made secure."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping

from streamq.errors import ConfigError, TLSFailed
from streamq.text import printable

_CHECKS = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}
_VERSIONS = {"771": ssl.TLSVersion.TLSv1_2, "772": ssl.TLSVersion.TLSv1_3}
_FILES = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")

# OpenSSL's numbers for what is wrong with a certificate.
_NOT_YET, _EXPIRED = 9, 10
_OTHER_HOST = (62, 63, 64)  # its name, its mail address, its IP address

_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")
_NO_CERTIFICATE = ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_NO_CERTIFICATE")
_ABOUT_CERTIFICATE = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")
_CLOSED = (
    ConnectionResetError, BrokenPipeError, EOFError, ssl.SSLEOFError, ssl.SSLZeroReturnError,
)  # fmt: skip


def make_context(options: Mapping[str, str], where: str, *, check_hostname: bool) -> ssl.SSLContext:
    """What connections to a server need to be secure.

    Args:
        options: those of its URL.
        where: the server's address, as it may be shown.
        check_hostname: whether the certificate must be for the host of the URL.

    Raises:
        ConfigError: an option, a certificate or a key cannot be used.
    """
    for option in _FILES:
        if option in options:
            _check_file(option, options[option], where)
    if "ssl_keyfile" in options and "ssl_certfile" not in options:
        raise ConfigError(f"ssl_keyfile in the URL of {where} needs its ssl_certfile")
    check = options.get("ssl_cert_reqs", "required")
    if check not in _CHECKS:
        raise _unknown("ssl_cert_reqs", check, where, "required, optional or none")
    version = options.get("ssl_min_version")
    if version is not None and version not in _VERSIONS:
        raise _unknown("ssl_min_version", version, where, "771 for TLS 1.2 or 772 for TLS 1.3")
    context = ssl.create_default_context()
    context.check_hostname = check_hostname and check != "none"
    context.verify_mode = _CHECKS[check]
    try:
        if "ssl_certfile" in options:
            # Without a password, OpenSSL asks the terminal for that of an encrypted key.
            context.load_cert_chain(
                options["ssl_certfile"],
                options.get("ssl_keyfile"),
                options.get("ssl_password", ""),
            )
        if "ssl_ca_certs" in options or "ssl_ca_path" in options:
            context.load_verify_locations(options.get("ssl_ca_certs"), options.get("ssl_ca_path"))
    except (OSError, ValueError) as error:
        told = getattr(error, "reason", None) or error
        raise ConfigError(
            f"the URL of {where} names a certificate, a key or its password (ssl_password) that "
            f"cannot be used: {printable(told, 100)}"
        ) from None
    if version is not None:
        context.minimum_version = _VERSIONS[version]
    return context


def _unknown(option: str, value: str, where: str, known: str) -> ConfigError:
    return ConfigError(f"{option} in the URL of {where} is {printable(value, 60)!r}: give {known}")


def _check_file(option: str, path: str, where: str) -> None:
    try:
        os.scandir(path).close() if option == "ssl_ca_path" else open(path, "rb").close()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"{option} in the URL of {where}: cannot read {printable(path, 200)}: {why}"
        ) from None


def tls_failure(error: BaseException, where: str) -> TLSFailed | None:
    """What TLS has to say of an error; ``None`` when the error is not its own.

    Args:
        error: what was raised when the connection was opened, with its causes.
        where: the server's address, as it may be shown.
    """
    fault = next((one for one in _chain(error) if isinstance(one, ssl.SSLError)), None)
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
    """Whether the other side took the connection and closed it without saying why."""
    return any(isinstance(one, _CLOSED) for one in _chain(error))


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
