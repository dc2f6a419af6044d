"""Values as a caller writes them: durations, times, counts."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from streamq.errors import ConfigError
from streamq.limits import MAX_TYPE
from streamq.text import span
from streamq.wire.entry import check_type

MOST = 1000
"""The most of anything that one request gives or gets."""

PAGE = 100
"""What a list has unless ``limit`` says otherwise."""

_SPAN = r"^[0-9]{1,5}(\.[0-9]{1,3})?(ms|s|min|m|h|d)$"
_BARE = re.compile(r"[0-9]{1,9}(\.[0-9]{1,3})?")
_LONGEST = 1e10


def _seconds(value: Any) -> Any:
    if isinstance(value, str):
        if not re.match(_SPAN, value) or value.endswith("\n"):
            raise ValueError("give seconds as a number, or a text such as 30s, 5m, 2h or 1d")
        return span(value)
    return value


def _seconds_in_query(value: Any) -> Any:
    if isinstance(value, str) and _BARE.fullmatch(value):
        return float(value)
    return _seconds(value)


def _moment(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("give a time as text, such as 2030-01-31T07:00:00Z")
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("give a time such as 2030-01-31T07:00:00Z") from None
    if at.tzinfo is None:
        raise ValueError("the time has no time zone: add Z or +01:00")
    return at


def _type(value: str) -> str:
    try:
        return check_type(value)
    except ConfigError as error:
        raise ValueError(str(error)) from None


def _flag(value: Any) -> Any:
    return {"true": True, "false": False}.get(value, value)


Seconds = Annotated[
    float,
    Field(strict=True, ge=0, lt=_LONGEST, allow_inf_nan=False),
    BeforeValidator(_seconds),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "exclusiveMaximum": _LONGEST},
                {"type": "string", "pattern": _SPAN},
            ],
            "examples": [30, "5m"],
        }
    ),
]
"""A duration: seconds, or a text such as ``5m``."""

QuerySeconds = Annotated[
    float,
    Field(strict=True, ge=0, lt=_LONGEST, allow_inf_nan=False),
    BeforeValidator(_seconds_in_query),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^([0-9]{1,9}(\.[0-9]{1,3})?|[0-9]{1,5}(\.[0-9]{1,3})?(ms|s|min|m|h|d))$",
            "examples": ["30", "5m"],
        }
    ),
]
"""The same after the question mark, where all is text."""

Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A time with its zone."""

Flag = Annotated[bool, Field(strict=True), BeforeValidator(_flag)]
"""``true`` or ``false``, after the question mark."""

Limit = Annotated[int, Field(ge=1, le=MOST)]


# -- names ----------------------------------------------------------------------
#
# Names are checked where they are looked up; here the document says what they can be. A type that
# is only compared is looked up nowhere.

_PRINTABLE = r"^[^\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]*$"
_ENTRY = "[0-9]{1,19}-[0-9]{1,19}"
_GROUP = "[A-Za-z0-9_.-]{1,128}"

STREAM: dict[str, Any] = {"minLength": 1, "maxLength": 512, "pattern": _PRINTABLE}
GROUP: dict[str, Any] = {"pattern": f"^{_GROUP}$"}
JOB_ID: dict[str, Any] = {
    "pattern": f"^({_ENTRY}|s-[0-9A-Za-z_-]{{1,128}})$", "examples": ["1716998413541-0"],
}  # fmt: skip
LETTER_ID: dict[str, Any] = {"pattern": f"^{_ENTRY}$", "examples": ["1716998413541-0"]}

StreamName = Annotated[str, Field(json_schema_extra=STREAM)]
GroupName = Annotated[str, Field(json_schema_extra=GROUP)]
TypeName = Annotated[
    str,
    AfterValidator(_type),
    Field(json_schema_extra={"maxLength": MAX_TYPE, "pattern": _PRINTABLE}),
]
LetterID = Annotated[str, Field(json_schema_extra=LETTER_ID)]
PendingPlace = Annotated[str, Field(pattern=f"^{_GROUP}/{_ENTRY}$")]
"""A group and a job in it: where a page of pending jobs has ended."""
