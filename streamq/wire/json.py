"""JSON that is exact: a number is what it was, or it is refused.

orjson does the work. It reads whole numbers beyond 64 bits as floats and writes none; these
take a slower way, and what orjson does not know is written as pydantic writes it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

_DIGITS = bytes(48 if 48 <= byte <= 57 else 32 for byte in range(256))
"""For :meth:`bytes.translate`: every digit becomes a 0, all else a blank."""

_LONG = b"0" * 19
"""Whole numbers of fewer digits fit into 64 bits."""

_L = ord("l")
"""Looked for first: one byte is found in no time."""

_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS


def loads(raw: bytes) -> Any:
    """The value in ``raw``.

    Raises:
        ValueError: it is not JSON, or has a number that no float can hold.
    """
    if raw.translate(_DIGITS).find(_LONG) >= 0:  # twice as fast as `in`
        return _loads_exactly(raw)
    return orjson.loads(raw)


def dumps(value: Any) -> bytes:
    """``value`` as JSON, other types than JSON's own as pydantic writes them.

    Raises:
        ValueError: it cannot be written, or is or has a NaN or an infinity.
    """
    try:
        raw = orjson.dumps(value, _plain, _OPTIONS)
    except (TypeError, RecursionError) as error:
        raw = _dumps_exactly(value, error)
    if _L in raw and raw.find(b"null") >= 0:
        _refuse_not_finite(value)
    return raw


def _loads_exactly(raw: bytes) -> Any:
    # Most long runs of digits stand in strings. What is written back the same has lost nothing.
    try:
        value = orjson.loads(raw)
        if orjson.dumps(value) == raw:
            return value
    except (ValueError, TypeError):
        pass  # a number that no float can hold, or nested too deeply to be written
    from pydantic_core import from_json  # hardly any data needs it, and it takes long to import

    value = from_json(raw, allow_inf_nan=False)
    _refuse_not_finite(value)
    return value


def _dumps_exactly(value: Any, error: Exception) -> bytes:
    from pydantic_core import to_json

    if "surrogates" in str(error):
        raise ValueError(str(error)) from None
    try:
        raw = to_json(value)
    except RecursionError:
        raise ValueError("it is nested too deeply, or has itself inside") from None
    _refuse_not_finite(value)
    return raw


def _plain(value: Any) -> Any:
    """What JSON has for a value of another type; called by orjson."""
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value)


def _refuse_not_finite(value: Any) -> None:
    for path, number in _floats(value, "", 0):
        if not math.isfinite(number):
            raise ValueError(f"{number} is not a number of JSON{f' ({path[1:]})' if path else ''}")


def _floats(value: Any, path: str, depth: int) -> Iterator[tuple[str, float]]:
    if isinstance(value, float):
        yield path, value
    elif depth > 200:
        return  # beyond it no number stands by mistake
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _floats(inner, f"{path}.{key}", depth + 1)
    elif isinstance(value, list | tuple | set | frozenset):
        for place, inner in enumerate(value):
            yield from _floats(inner, f"{path}.{place}", depth + 1)
    elif hasattr(value, "model_dump"):
        yield from _floats(value.model_dump(), path, depth + 1)
    elif hasattr(value, "__dataclass_fields__"):
        yield from _floats(vars(value) if hasattr(value, "__dict__") else {}, path, depth + 1)
