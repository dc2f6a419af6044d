"""The version of what stands in Redis: of the keys, the entries and the records."""

from __future__ import annotations

from collections.abc import Mapping

from streamq.errors import DataTooNew
from streamq.text import printable

DATA_VERSION = 1
"""What this streamq reads and writes. It rises when an older streamq could no longer work with what
a newer one writes, and only then."""

FIELD = b"version"
"""Where the settings of a stream have it; without it, the data is of version 1."""


def version_of(settings: Mapping[bytes, bytes]) -> int:
    """The version of a stream's data, out of its settings."""
    value = settings.get(FIELD, b"")
    return int(value) if value.isdigit() and len(value) < 10 else 1


def check_version(settings: Mapping[bytes, bytes], stream: str) -> None:
    """Check that a stream's data is not newer than what this streamq knows.

    Raises:
        DataTooNew: it is.
    """
    version = version_of(settings)
    if version > DATA_VERSION:
        raise DataTooNew(
            f"the data of the stream {printable(stream, 100)} is of version {version}, and this "
            f"streamq knows version {DATA_VERSION}: install the streamq that the other workers have"
        )
