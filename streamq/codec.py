"""Data that is not JSON: MessagePack, Protocol Buffers, compressed or encrypted data."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from streamq.errors import InvalidEntry, PayloadError, PayloadTooLarge
from streamq.limits import MAX_PAYLOAD
from streamq.text import printable
from streamq.wire import json
from streamq.wire.encrypted import encrypted_with
from streamq.wire.entry import decode_data, encode_data


class Codec(Protocol):
    """How an app's jobs are written and read: ``App(codec=…)``.

    Producers and workers of a stream must agree. What is not written by streamq, an entry
    without a field ``data``, is not decoded: its fields are its data.
    """

    def encode(self, data: Any) -> bytes:
        """The data of a job, as it stands in the entry. May raise anything: the job is refused."""
        ...

    def decode(self, raw: bytes) -> Any:
        """The data again; for handlers with parameters, a mapping.

        May raise anything: the job is a dead letter with the reason ``invalid entry``.
        """
        ...


@runtime_checkable
class Cipher(Protocol):
    """What a codec has beside :class:`Codec` when it encrypts: results are kept by it, too.

    Error messages that show data leave it out where the codec is one.
    """

    def encrypt(self, plain: bytes) -> bytes:
        """What may be kept in Redis."""
        ...

    def decrypt(self, raw: bytes) -> bytes:
        """What was encrypted.

        Raises:
            InvalidEntry: it cannot be read.
        """
        ...


def cipher_of(codec: Codec | None) -> Cipher | None:
    """The codec itself, if it encrypts."""
    return codec if isinstance(codec, Cipher) else None


def encode_with(codec: Codec | None, data: Any, limit: int = MAX_PAYLOAD) -> bytes:
    """``data`` as a codec writes it; as JSON without one.

    Raises:
        PayloadError: it cannot be written.
        PayloadTooLarge: it takes more than ``limit`` bytes.
    """
    if codec is None:
        return encode_data(data, limit)
    try:
        raw = codec.encode(data)
    except PayloadError:
        raise
    except Exception as error:
        raise PayloadError(f"the codec cannot write the data: {_said(error)}") from error
    if not isinstance(raw, bytes):
        raise PayloadError(f"the codec wrote {type(raw).__name__}, not bytes")
    if len(raw) > limit:
        raise PayloadTooLarge(
            f"the data takes {len(raw):,} bytes, the limit is {limit:,}: "
            "keep it outside the stream (offload), or raise the limit"
        )
    return raw


def decode_with(codec: Codec, raw: bytes) -> Any:
    """The data in ``raw``.

    Raises:
        InvalidEntry: the codec cannot read it.
    """
    try:
        return codec.decode(raw)
    except InvalidEntry:
        raise
    except Exception as error:
        raise InvalidEntry(f"the codec cannot read the data: {_said(error)}") from error


def decode_result(codec: Codec | None, raw: bytes) -> Any:
    """A result out of a job's record: JSON, encrypted where the codec encrypts.

    Raises:
        InvalidEntry: it cannot be read.
    """
    cipher = cipher_of(codec)
    if cipher is not None and encrypted_with(raw) is not None:
        raw = cipher.decrypt(raw)
    return decode_data(raw)


def as_json(codec: Codec | None, raw: bytes) -> bytes:
    """The data in ``raw`` as JSON, for a person; as it is where the codec cannot read it."""
    if codec is None:
        return raw
    try:
        return json.dumps(decode_with(codec, raw))
    except (InvalidEntry, ValueError):
        return raw


def _said(error: Exception) -> str:
    text = printable(error, 200)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
