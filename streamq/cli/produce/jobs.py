"""Jobs to be produced, out of what a person or a file says."""

from __future__ import annotations

from collections.abc import Sequence
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any

from streamq.errors import ConfigError
from streamq.text import printable

if TYPE_CHECKING:
    from streamq.produce.many import Pair


def from_fields(fields: Sequence[str], type: str) -> Pair:
    """A job out of ``KEY=VALUE`` and ``KEY:=JSON``; ``type=`` is its type.

    Raises:
        ConfigError: one of them is neither, or a key comes twice.
    """
    data: dict[str, Any] = {}
    for field in fields:
        key, equals, value = field.partition("=")
        if not equals:
            raise ConfigError(
                f"'{printable(field, 60)}' is no field: write KEY=VALUE, "
                "or --type TYPE for the job's type"
            )
        typed = key.endswith(":")
        key = key.removesuffix(":")
        if not key:
            raise ConfigError(f"'{printable(field, 60)}' has no key: write KEY=VALUE")
        if key == "type" and not typed and "type" not in data:
            if type:
                raise ConfigError(
                    "the type is given twice: for a field that is called type write "
                    """type:='"VALUE"'"""
                )
            type = value
            continue
        if key in data:
            raise ConfigError(f"'{printable(key, 60)}' is given twice")
        try:
            data[key] = _loads(value.encode("utf-8", "surrogateescape")) if typed else value
        except ConfigError as error:
            raise ConfigError(
                f"{printable(field, 60)}: {error}; for text write KEY=VALUE"
            ) from None
    return type, data


def from_data(text: str, type: str) -> Pair:
    """A job out of its data, a JSON object.

    Raises:
        ConfigError: it is not JSON or no object.
    """
    try:
        data = _loads(text.encode("utf-8", "surrogateescape"))
    except ConfigError as error:
        raise ConfigError(f"--data: {error}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"--data: not an object but {_kind(data)}")
    return type, data


def from_json(text: bytes, type: str) -> Pair:
    """A job out of a line of JSON; ``type`` is for one that names none.

    Raises:
        ConfigError: it is not JSON or no job.
    """
    job = _loads(text)
    if not isinstance(job, dict):
        raise ConfigError(f"not an object but {_kind(job)}")
    if "data" in job:
        unknown = sorted(job.keys() - {"type", "data"})
        if unknown:
            raise ConfigError(
                f"'{printable(unknown[0], 60)}' cannot stand beside \"data\": put it into the data"
            )
        data = job["data"]
        if not isinstance(data, dict):
            raise ConfigError(f'"data" is not an object but {_kind(data)}')
    else:
        data = {key: value for key, value in job.items() if key != "type"}
    own = job.get("type", type)
    if not isinstance(own, str):
        raise ConfigError(f'"type" is not text but {_kind(own)}')
    return own, data


def _loads(text: bytes) -> Any:
    from streamq.wire import json

    try:
        return json.loads(text)
    except ValueError as error:
        # orjson's own tells the line, which is the first, and the byte as well.
        where = f" at column {error.colno}" if isinstance(error, JSONDecodeError) else ""
        raise ConfigError(f"not JSON: {getattr(error, 'msg', error)}{where}") from None


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
    return "null" if value is None else names.get(value.__class__, "a number")
