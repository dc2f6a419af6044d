"""Encrypted data: what Redis holds of a job can be read with a key alone.

::

    app = App(codec=EncryptingCodec())  # keys from STREAMQ_KEYS

``streamq key new`` makes a key, and so does ``python -m streamq.encryption``. Needs the extra
``streamq[encryption]``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import sys
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from streamq.codec import Codec
from streamq.errors import ConfigError, InvalidEntry
from streamq.wire.encrypted import KEY_ID, MAGIC, encrypted_with
from streamq.wire.entry import decode_data, encode_data

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["ENV_KEYS", "EncryptingCodec", "new_key"]

ENV_KEYS = "STREAMQ_KEYS"
"""The environment variable with the keys, where none are given in the code."""

Key = str | bytes

_SIZE = 32
_PREFIX, _NONCE, _TAG = 12, 12, 16
_HEADER = len(MAGIC) + KEY_ID
_LEAST = _HEADER + _PREFIX + _NONCE + _TAG

_MESSAGES = 2**20
"""Messages of one derived key. Some 2**32 may have one, as their nonces are random."""

_REMEMBERED = 256
"""Derived keys that are kept: as a rule, one for each process that has written lately."""


class EncryptingCodec:
    """Encrypts the data of jobs, and their results: AES-256-GCM, with a key of your own.

    The first key writes and all of them read, so a new key is put in front, and an old one is
    left out when nothing is left that it has written. Data that was changed, or encrypted
    with a key that is not among these, makes its job a dead letter (``invalid entry``).

    Args:
        keys: what :func:`new_key` made: one, several, or several in one string with blanks or
            commas between them; 32 bytes are a key as well. Without any, ``STREAMQ_KEYS`` from
            the environment.
        inner: writes the data before it is encrypted; JSON without one.
        plaintext: also read data that is not encrypted, while a stream is changed over. Then
            whoever may write to the stream can do so without a key.

    Raises:
        ConfigError: there is no key, one is none, or ``cryptography`` is not installed.
    """

    def __init__(
        self,
        keys: Key | Sequence[Key] | None = None,
        inner: Codec | None = None,
        *,
        plaintext: bool = False,
    ) -> None:
        _aesgcm()  # says so now when it is not installed
        found = [_Key(raw) for raw in _raw_keys(keys)]
        self._keys = {key.id: key for key in found}
        if len(self._keys) < len(found):
            raise ConfigError("keys: one of them is given twice")
        self._first = found[0]
        self._inner = inner
        self._plaintext = plaintext

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The IDs of its keys, which are no secrets; the first one is that of the key that writes.

        They are what ``streamq pending`` and the like show in place of encrypted data.
        """
        return tuple(key.id.hex() for key in self._keys.values())

    def encode(self, data: Any) -> bytes:
        """The data, written by the inner codec and encrypted."""
        if self._inner is None:
            return self.encrypt(encode_data(data, sys.maxsize))
        return self.encrypt(self._inner.encode(data))

    def decode(self, raw: bytes) -> Any:
        """The data again.

        Raises:
            InvalidEntry: as for :meth:`decrypt`, or what was encrypted is not JSON.
        """
        plain = self.decrypt(raw)
        return decode_data(plain) if self._inner is None else self._inner.decode(plain)

    def encrypt(self, plain: bytes) -> bytes:
        """Encrypt with the first key."""
        return self._first.encrypt(plain)

    def decrypt(self, raw: bytes) -> bytes:
        """What was encrypted with one of the keys.

        Raises:
            InvalidEntry: it is not encrypted, or with none of these keys, or was changed.
        """
        with_key = encrypted_with(raw)
        if with_key is None:
            if self._plaintext:
                return raw
            raise InvalidEntry(
                "the data is not encrypted, and this app reads encrypted data only "
                "(EncryptingCodec(plaintext=True) reads both, for a change-over)"
            )
        key = self._keys.get(raw[len(MAGIC) : _HEADER])
        if key is None:
            known = ", ".join(self.key_ids)
            raise InvalidEntry(
                f"the data is encrypted with the key {with_key}, and the app has only {known}"
            )
        return key.decrypt(raw)

    def __repr__(self) -> str:
        return f"<EncryptingCodec {', '.join(self.key_ids)}>"  # the IDs, never the keys

    def __reduce__(self) -> Any:
        raw = tuple(key.raw for key in self._keys.values())
        return _restored, (raw, self._inner, self._plaintext)


def new_key() -> str:
    """A new key: 32 random bytes, as URL-safe Base64."""
    return base64.urlsafe_b64encode(os.urandom(_SIZE)).decode().rstrip("=")


class _Key:
    """One key, in the way of XAES-256-GCM (https://c2sp.org/XAES-256-GCM).

    The first half of a nonce of 24 bytes makes a key for AES-256-GCM out of this one, and the
    second half is that one's nonce. So random nonces never run out, as those of plain
    AES-GCM would after 2**32 messages.
    """

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        digest = hashlib.sha256(b"streamq key ID\0" + raw).digest()
        self.id = digest[:KEY_ID]
        self._head = MAGIC + self.id
        doubled = int.from_bytes(self._blocks(bytes(16)), "big") << 1
        self._k1 = doubled ^ ((1 << 128) | 0x87) if doubled >> 128 else doubled
        self._derived: OrderedDict[bytes, AESGCM] = OrderedDict()
        self._prefix, self._left = b"", 0

    def encrypt(self, plain: bytes) -> bytes:
        if self._left <= 0:
            self._prefix, self._left = os.urandom(_PREFIX), _MESSAGES
        self._left -= 1
        prefix = self._prefix
        # Random, not counted: a process that has forked must not use a nonce twice.
        nonce = os.urandom(_NONCE)
        sealed = self._derive(prefix).encrypt(nonce, plain, self._head)
        return b"".join((self._head, prefix, nonce, sealed))

    def decrypt(self, raw: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag

        prefix_end = _HEADER + _PREFIX
        nonce_end = prefix_end + _NONCE
        try:
            if len(raw) < _LEAST:
                raise InvalidTag
            derived = self._derive(raw[_HEADER:prefix_end])
            return derived.decrypt(raw[prefix_end:nonce_end], raw[nonce_end:], self._head)
        except InvalidTag:
            raise InvalidEntry(
                f"the data is encrypted with the key {self.id.hex()}, but was changed or cut off"
            ) from None

    def _derive(self, prefix: bytes) -> AESGCM:
        derived = self._derived.get(prefix)
        if derived is None:
            first = int.from_bytes(b"\0\1X\0" + prefix, "big") ^ self._k1
            second = int.from_bytes(b"\0\2X\0" + prefix, "big") ^ self._k1
            derived = _aesgcm()(
                self._blocks(first.to_bytes(16, "big") + second.to_bytes(16, "big"))
            )
            self._derived[prefix] = derived
            if len(self._derived) > _REMEMBERED:
                self._derived.popitem(last=False)
        return derived

    def _blocks(self, plain: bytes) -> bytes:
        """Whole blocks through AES with this key, as the derivation wants them."""
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        return Cipher(algorithms.AES(self.raw), modes.ECB()).encryptor().update(plain)


def _aesgcm() -> type[AESGCM]:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise ConfigError(
            "encryption needs the package cryptography: pip install 'streamq[encryption]'"
        ) from None
    return AESGCM


def _raw_keys(given: Key | Sequence[Key] | None) -> list[bytes]:
    where = "keys"
    if given is None:
        where, given = ENV_KEYS, os.environ.get(ENV_KEYS, "")
    several = [given] if isinstance(given, str | bytes) else list(given)
    found: list[bytes] = []
    for one in several:
        if isinstance(one, bytes) and len(one) == _SIZE:
            found.append(one)
            continue
        if not isinstance(one, str | bytes):
            raise ConfigError(f"{where}: a key is text or bytes, not {type(one).__name__}")
        try:
            words = re.split(r"[\s,]+", one if isinstance(one, str) else one.decode("ascii"))
        except UnicodeDecodeError:
            raise _no_key(where) from None
        found += [_raw_key(word, where) for word in words if word]
    if not found:
        raise ConfigError(
            f"{where} has no key: make one with streamq key new, and keep it in {ENV_KEYS}"
        )
    return found


def _raw_key(text: str, where: str) -> bytes:
    try:
        plain = text.translate(str.maketrans("-_", "+/")).rstrip("=")
        raw = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise _no_key(where) from None
    if len(raw) != _SIZE:
        raise _no_key(where)
    return raw


def _no_key(where: str) -> ConfigError:
    # It does not show what was given: that may be a key but for one character.
    return ConfigError(
        f"{where}: what is given is no key of {_SIZE} bytes: make one with streamq key new"
    )


def _restored(keys: tuple[bytes, ...], inner: Codec | None, plaintext: bool) -> EncryptingCodec:
    return EncryptingCodec(keys, inner, plaintext=plaintext)


if __name__ == "__main__":
    print(new_key())
