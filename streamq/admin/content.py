"""What is in an entry, as far as it can be read, whatever its fields hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from streamq.admin.reading import text
from streamq.codec import Codec, as_json
from streamq.errors import InvalidEntry
from streamq.text import printable, size
from streamq.wire.encrypted import encrypted_with
from streamq.wire.entry import decode, decode_data
from streamq.wire.offloaded import FIELD, Ref, parse_ref


class Content(NamedTuple):
    """What is in an entry.

    ``raw`` is JSON as a rule, as it was written where the codec cannot read it; ``None`` for an
    entry without fields, and for one whose data is outside the stream, where ``ref`` says.
    """

    type: str
    raw: bytes | None
    only_for: str | None
    origin: str | None
    ref: Ref | None = None
    key: str | None = None
    trace: str | None = None


def content(fields: Sequence[bytes], codec: Codec | None = None) -> Content:
    """What is in an entry with these fields, a flat list.

    Args:
        codec: of the app that wrote it, if that is known.
    """
    if not fields:
        return Content("", None, None, None)
    values = dict(zip(fields[::2], fields[1::2], strict=False))
    try:
        type, raw, data, own = decode(fields)
    except InvalidEntry:
        type = text(values.pop(b"type", b""))
        shown = {text(name): text(value) for name, value in values.items()}
        return Content(type, values.get(b"data") or orjson.dumps(shown), None, None)
    if raw is None:
        return Content(type, orjson.dumps(data), None, None)
    meta = {name: text(value) for name, value in (own or {}).items()}
    ref = parse_ref((own or {}).get(FIELD))
    readable = as_json(codec, raw) if ref is None else None
    return Content(
        type, readable, meta.get(b"for"), meta.get(b"origin"), ref, meta.get(b"key"),
        meta.get(b"trace"),
    )  # fmt: skip


def plain_data(raw: bytes | None, ref: Ref | None = None) -> dict[str, Any]:
    """Raw data for a dict: decoded under ``data``; what is not JSON as text under ``raw``.

    Of data that is encrypted there is the key's ID instead, under ``encrypted_with``, and of
    data that is kept outside the stream how many bytes it has, under ``offloaded``.
    """
    if ref is not None:
        return {"data": None, "offloaded": ref.size}
    if raw is None:
        return {"data": None}
    key = encrypted_with(raw)
    if key is not None:
        return {"data": None, "encrypted_with": key}
    try:
        return {"data": decode_data(raw)}
    except InvalidEntry:
        return {"data": None, "raw": text(raw)}


def shown_data(raw: bytes | None, ref: Ref | None = None, limit: int | None = None) -> str:
    """Raw data for a person, on one line; nothing for an entry without any.

    Args:
        ref: where it is, if it is kept outside the stream.
        limit: the most characters.
    """
    if ref is not None:
        return f"(offloaded, {size(ref.size)})"
    if raw is None:
        return ""
    key = encrypted_with(raw)
    return printable(raw, limit) if key is None else f"(encrypted with the key {key})"
