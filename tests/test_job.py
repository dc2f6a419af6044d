"""A job and its wire form."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamq.errors import ConfigError, InvalidEntry, PayloadError, PayloadTooLarge
from streamq.job import Job
from streamq.limits import MAX_PAYLOAD
from streamq.wire.entry import (
    check_id,
    check_type,
    created_at,
    decode,
    decode_data,
    encode,
    encode_data,
    id_key,
)


def job_of(*fields: bytes, id: str = "1700000000000-0", attempt: int = 1) -> Job:
    return Job(id, "jobs", "g", "c", attempt, decode(fields), retries=3)


def as_bytes(fields: list[str | bytes | int]) -> list[bytes]:
    return [part if isinstance(part, bytes) else str(part).encode() for part in fields]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


# -- wire form ----------------------------------------------------------------


@given(
    type=st.text(max_size=128), data=json_values, key=st.none() | st.text(),
    trace=st.none() | st.text(), expires=st.none() | st.integers(0, 10**12),
)  # fmt: skip
def test_what_is_written_is_read(
    type: str, data: Any, key: str | None, trace: str | None, expires: int | None
) -> None:
    fields = encode(type, encode_data(data), key=key, trace=trace, expires=expires)
    job = job_of(*as_bytes(fields))
    assert (job.type, job.data, job.key, job.trace) == (type, data, key, trace)
    assert job.expires_at == (None if expires is None else 1_700_000_000 + expires / 1000)
    assert (job.only_for, job.origin) == (None, None)
    assert orjson.loads(job.raw) == data


def test_only_what_is_used_is_written() -> None:
    assert encode("t", b"{}") == ["type", "t", "data", b"{}"]
    assert encode("", b"{}") == ["data", b"{}"]
    assert encode("t", b"{}", key="k", trace="x", expires=5) == [
        "type", "t", "data", b"{}", "key", "k", "trace", "x", "expires", 5,
    ]  # fmt: skip


def test_the_fields_of_a_redriven_entry() -> None:
    job = job_of(b"data", b"[1]", b"type", b"t", b"origin", b"5-5", b"for", b"images", b"key", b"k")
    assert (job.type, job.data, job.origin, job.only_for, job.key) == (
        "t", [1], "5-5", "images", "k",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "type", "data"),
    [
        ([b"file", b"a.png"], "", {"file": "a.png"}),
        ([b"file", b"a.png", b"action", b"resize"], "", {"file": "a.png", "action": "resize"}),
        ([b"type", b"t", b"file", b"a.png"], "t", {"file": "a.png"}),
        ([b"n", b"1", b"type", b"t"], "t", {"n": "1"}),
        ([b"type", b"t"], "t", {}),
        ([], "", {}),
        ([b"key", b"k", b"for", b"me", b"origin", b"x", b"expires", b"y"], "",
         {"key": "k", "for": "me", "origin": "x", "expires": "y"}),
        ([b"a", b"1", b"a", b"2"], "", {"a": "2"}),
        ([b"", b""], "", {"": ""}),
        ([b"zero", b"\x00"], "", {"zero": "\x00"}),
    ],
)  # fmt: skip
def test_a_foreign_entry_is_a_job(fields: list[bytes], type: str, data: dict[str, str]) -> None:
    job = job_of(*fields)
    assert (job.type, job.data) == (type, data)
    assert job.meta is None
    assert (job.key, job.trace, job.origin, job.only_for, job.expires_at) == (None,) * 5
    assert orjson.loads(job.raw) == data


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([b"type", b"\xff", b"data", b"{}"], "type .* not UTF-8"),
        ([b"data", b"{}", b"type", b"\xff"], "type .* not UTF-8"),
        ([b"type", b"x" * 129, b"data", b"{}"], "longer than 128"),
        ([b"file", b"\xff"], "fields .* not UTF-8"),
        ([b"\xff", b"a"], "fields .* not UTF-8"),
    ],
)
def test_entries_that_make_no_job(fields: list[bytes], message: str) -> None:
    with pytest.raises(InvalidEntry, match=message):
        decode(fields)


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"not json", b"\xff", b"\x00", b"NaN", b"[" * 5000 + b"]" * 5000, b"1 2"],
)
def test_data_that_is_not_json(raw: bytes) -> None:
    with pytest.raises(InvalidEntry, match="not JSON"):
        decode_data(raw)
    with pytest.raises(InvalidEntry, match="not JSON"):
        _ = job_of(b"type", b"t", b"data", raw).data


@pytest.mark.parametrize("raw", [b"null", b"7", b'"text"', b"[1]", b"{}", b"false"])
def test_data_may_be_any_json(raw: bytes) -> None:
    job = job_of(b"type", b"t", b"data", raw)
    assert job.data == orjson.loads(raw)
    assert job.raw == raw


def test_data_is_read_once() -> None:
    job = job_of(b"type", b"t", b"data", b'{"a":1}')
    assert job.data is job.data


# -- the fields of streamq's own, with garbage in them ------------------------


@pytest.mark.parametrize(
    "garbage", [b"", b"-1", b"1.5", b"soon", b"\xff", b"1" * 17, b"\x00", b"0x10", "٣".encode()]
)
def test_garbage_in_expires(garbage: bytes) -> None:
    job = job_of(b"data", b"{}", b"expires", garbage)
    with pytest.raises(InvalidEntry, match="'expires' is not a time") as caught:
        _ = job.expires_at
    assert caught.value.args[0].isprintable()


@pytest.mark.parametrize("garbage", [b"", b"\xff\xfe", b"\x00\n", b"x" * 10_000, b"\xed\xa0\x80"])
@pytest.mark.parametrize("field", ["key", "trace", "for", "origin"])
def test_garbage_in_text_fields_is_text(field: str, garbage: bytes) -> None:
    job = job_of(b"data", b"{}", field.encode(), garbage)
    attribute = "only_for" if field == "for" else field
    value = getattr(job, attribute)
    assert isinstance(value, str)
    value.encode()


def test_expiry_counts_from_the_writing() -> None:
    assert job_of(b"data", b"{}", b"expires", b"1500").expires_at == 1_700_000_001.5
    assert job_of(b"data", b"{}", b"expires", b"0").expires_at == 1_700_000_000.0


# -- encoding -----------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [object(), {"a": object()}, "\ud800", {"\ud800": 1}, float("nan"), {"a": [float("inf")]}],
)
def test_data_that_json_cannot_hold(data: Any) -> None:
    with pytest.raises(PayloadError, match="cannot be written as JSON") as caught:
        encode_data(data)
    assert not isinstance(caught.value, PayloadTooLarge)


def test_circular_data() -> None:
    circular: list[Any] = []
    circular.append(circular)
    with pytest.raises(PayloadError, match="cannot be written as JSON"):
        encode_data(circular)
    circular.clear()


@pytest.mark.parametrize("limit", [10, MAX_PAYLOAD])
def test_the_limit_counts_encoded_bytes(limit: int) -> None:
    assert len(encode_data("x" * (limit - 2), limit)) == limit
    with pytest.raises(
        PayloadTooLarge, match=rf"takes {limit + 1:,} bytes, the limit is {limit:,}"
    ):
        encode_data("x" * (limit - 1), limit)


# -- names and IDs ------------------------------------------------------------


@pytest.mark.parametrize("id", ["0-1", "1716998413541-0", f"{2**64 - 1}-{2**64 - 1}"])
def test_entry_ids(id: str) -> None:
    assert check_id(id) == id


@pytest.mark.parametrize(
    "id",
    [
        "",
        "1",
        "1-",
        "-1",
        "a-b",
        "1-1\n",
        "1-1-1",
        " 1-1",
        "(1-1",
        "1" * 21 + "-0",
        "+",
        "\u0661-\u0661",
    ],
)
def test_what_is_no_entry_id(id: str) -> None:
    with pytest.raises(ConfigError, match="is not a job ID") as caught:
        check_id(id)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("type", ["", "process_image", "a b", "é", "x" * 128, "*"])
def test_types(type: str) -> None:
    assert check_type(type) == type


@pytest.mark.parametrize("type", ["x" * 129, "a\n", "\x00", "\x1b[0m", "\ud800", "\u202e"])
def test_what_cannot_be_a_type(type: str) -> None:
    with pytest.raises(ConfigError, match="is not a valid job type") as caught:
        check_type(type)
    str(caught.value).encode()


def test_ids_are_ordered_by_number() -> None:
    ids = ["5-9", "5-10", "9-0", "10-0", "99-100", "100-99", f"{2**64 - 1}-0"]
    as_text = sorted(ids)
    assert as_text != ids
    assert sorted(as_text, key=id_key) == ids
    assert created_at("1500-7") == 1.5


# -- the job itself -----------------------------------------------------------


def test_emitted_events_are_kept_in_order() -> None:
    job = job_of(b"type", b"t", b"data", b"{}")
    assert job.emitted is None
    job.emit("next", {"file": "a", "type": "not the type", "stream_name": "b"})
    job.emit("other", stream="elsewhere")
    assert job.emitted == [
        (
            "jobs",
            ["type", "next", "data", b'{"file":"a","type":"not the type","stream_name":"b"}'],
        ),
        ("elsewhere", ["type", "other", "data", b"{}"]),
    ]


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (("\x00",), {}, ConfigError),
        (("x" * 129,), {}, ConfigError),
        (("next",), {"stream": ""}, ConfigError),
        (("next",), {"stream": "\ud800"}, ConfigError),
        (("next",), {"key": ""}, ConfigError),
        (("next",), {"expires": -1}, ConfigError),
        (("next",), {"trace": "\ud800"}, ConfigError),
        (("next", {"n": object()}), {}, PayloadError),
        (("next", {"n": "x" * MAX_PAYLOAD}), {}, PayloadTooLarge),
    ],
)
def test_an_event_that_cannot_be_written_is_refused_at_once(
    arguments: tuple[Any, ...], options: dict[str, Any], error: type[Exception]
) -> None:
    job = job_of(b"type", b"t", b"data", b"{}")
    with pytest.raises(error):
        job.emit(*arguments, **options)
    assert not job.emitted


def test_emit_has_options_and_a_plain_result() -> None:
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    job = job_of(b"type", b"t", b"data", b"{}", b"trace", trace)
    job.emit("next", key="user-7", expires=1.5)
    job.emit("next", trace="00-1")
    assert [event.fields[4:] for event in job.emitted or ()] == [
        ["key", "user-7", "trace", trace.decode(), "expires", 1500],
        ["trace", "00-1"],
    ]


def test_a_keyword_that_is_no_option_names_the_mapping() -> None:
    job = job_of(b"type", b"t", b"data", b"{}")
    options: dict[str, Any] = {"file": "a.png"}
    with pytest.raises(TypeError, match=r"no option 'file'.*emit\(type, \{'file': …\}\)"):
        job.emit("next", **options)
    assert job.emitted is None


def test_a_job_as_plain_data() -> None:
    job = job_of(b"type", b"t", b"data", b'{"a":1}', attempt=2)
    assert job.as_dict() == {
        "id": "1700000000000-0", "stream": "jobs", "group": "g", "type": "t", "attempt": 2,
        "retries": 3, "created_at": 1_700_000_000.0, "data": {"a": 1},
    }  # fmt: skip


def test_its_repr_is_safe_to_show() -> None:
    job = job_of(b"type", b"\x1b[31m\n", b"data", b"{}", attempt=2)
    assert repr(job).isprintable()
    assert "attempt 2 of 4" in repr(job)
