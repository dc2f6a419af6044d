"""When a periodic job is due: expressions, intervals, and the clocks that are put forward."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamq.errors import ConfigError
from streamq.produce.periodic import Schedule, make_schedule, read_all
from streamq.produce.ticks import Rule, make_rule

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


def cron(expression: str, tz: str = "UTC") -> Rule:
    return make_rule(expression, None, tz)


def ms(text: str, tz: str = "UTC") -> int:
    """A time as clocks show it; of two such times the first."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(tz)).timestamp() * 1000)


def shown(rule: Rule, start: str, count: int) -> list[str]:
    """The ticks after a time, with their distance from UTC."""
    time, found = ms(start, rule.tz), []
    for _ in range(count):
        after = rule.after(time)
        assert after is not None
        time = after
        moment = datetime.fromtimestamp(time / 1000, ZoneInfo(rule.tz))
        found.append(moment.isoformat(" ", "minutes"))
    return found


# -- expressions ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "ticks"),
    [
        ("*/5 * * * *", ["2026-03-01 00:05", "2026-03-01 00:10"]),
        ("0 7 * * MON", ["2026-03-02 07:00", "2026-03-09 07:00"]),
        ("0 7 * * 1", ["2026-03-02 07:00", "2026-03-09 07:00"]),
        ("30 6 1,15 * *", ["2026-03-01 06:30", "2026-03-15 06:30"]),
        ("0 0 L * *", ["2026-03-31 00:00", "2026-04-30 00:00"]),
        ("0 0 29 2 *", ["2028-02-29 00:00", "2032-02-29 00:00"]),
        ("  0   7 * *  mon ", ["2026-03-02 07:00", "2026-03-09 07:00"]),
    ],
)
def test_an_expression_means_what_it_means_to_cron(expression: str, ticks: list[str]) -> None:
    assert shown(cron(expression), "2026-03-01", 2) == [f"{tick}+00:00" for tick in ticks]


def test_six_fields_begin_with_seconds() -> None:
    rule = cron("*/15 * * * * *")
    assert [rule.after(n) for n in (0, 14_999, 15_000, 59_999)] == [15_000, 15_000, 30_000, 60_000]


def test_the_hour_that_does_not_exist_in_berlin() -> None:
    """Clocks go from 2:00 to 3:00 on 29 March 2026."""
    assert shown(cron("30 2 * * *", BERLIN), "2026-03-28 12:00", 2) == [
        "2026-03-29 03:00+02:00", "2026-03-30 02:30+02:00",
    ]  # fmt: skip
    assert shown(cron("0,30 2 * * *", BERLIN), "2026-03-28 12:00", 2) == [
        "2026-03-29 03:00+02:00", "2026-03-30 02:00+02:00",
    ], "one job for both"  # fmt: skip
    assert shown(cron("*/30 * * * *", BERLIN), "2026-03-29 01:15", 3) == [
        "2026-03-29 01:30+01:00", "2026-03-29 03:00+02:00", "2026-03-29 03:30+02:00",
    ]  # fmt: skip


def test_the_hour_that_does_not_exist_in_new_york() -> None:
    """Clocks go from 2:00 to 3:00 on 8 March 2026."""
    assert shown(cron("30 2 * * *", NEW_YORK), "2026-03-07 12:00", 2) == [
        "2026-03-08 03:00-04:00", "2026-03-09 02:30-04:00",
    ]  # fmt: skip
    assert shown(cron("*/30 * * * *", NEW_YORK), "2026-03-08 01:15", 2) == [
        "2026-03-08 01:30-05:00", "2026-03-08 03:00-04:00",
    ]  # fmt: skip


def test_the_hour_that_exists_twice_in_berlin() -> None:
    """Clocks go from 3:00 back to 2:00 on 25 October 2026."""
    assert shown(cron("30 2 * * *", BERLIN), "2026-10-24 12:00", 2) == [
        "2026-10-25 02:30+02:00", "2026-10-26 02:30+01:00",
    ], "once, when clocks show it first"  # fmt: skip
    assert shown(cron("*/30 * * * *", BERLIN), "2026-10-25 02:15", 5) == [
        "2026-10-25 02:30+02:00", "2026-10-25 02:00+01:00", "2026-10-25 02:30+01:00",
        "2026-10-25 03:00+01:00", "2026-10-25 03:30+01:00",
    ], "every half an hour, whatever clocks show"  # fmt: skip


def test_the_hour_that_exists_twice_in_new_york() -> None:
    """Clocks go from 2:00 back to 1:00 on 1 November 2026."""
    assert shown(cron("30 1 * * *", NEW_YORK), "2026-10-31 12:00", 2) == [
        "2026-11-01 01:30-04:00", "2026-11-02 01:30-05:00",
    ]  # fmt: skip
    assert shown(cron("*/30 * * * *", NEW_YORK), "2026-11-01 01:15", 3) == [
        "2026-11-01 01:30-04:00", "2026-11-01 01:00-05:00", "2026-11-01 01:30-05:00",
    ]  # fmt: skip


@pytest.mark.parametrize("tz", [BERLIN, NEW_YORK])
def test_an_interval_takes_no_notice_of_clocks_put_forward(tz: str) -> None:
    rule = make_rule(None, 1800, None)
    for day in ("2026-03-29", "2026-03-08", "2026-10-25", "2026-11-01"):
        start = ms(day, tz)
        ticks = rule.between(start, start + 6 * 3_600_000, 100)
        assert ticks == [start + n * 1_800_000 for n in range(1, 13)]


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(
        ["30 2 * * *", "0,30 1,2 * * *", "*/20 * * * *", "*/20 2 * * *", "15 */2 * * *",
         "0 0 * * SUN", "45 2 25-31 3,10 *", "0 */30 * * * *"]
    ),
    st.sampled_from(["UTC", BERLIN, NEW_YORK, "Australia/Lord_Howe", "Asia/Beirut"]),
    st.sampled_from(["2026-03-07", "2026-03-28", "2026-10-03", "2026-10-24", "2026-10-31"]),
    st.integers(0, 40 * 60 * 60),
)  # fmt: skip
def test_all_see_the_same_ticks_wherever_they_begin(
    expression: str, tz: str, day: str, later: int
) -> None:
    rule = cron(expression, tz)
    start, middle = ms(day), ms(day) + later * 1000
    end = start + 2 * 86_400_000
    whole = rule.between(start, end, 1000)
    assert whole == sorted(set(whole))
    assert rule.between(start, middle, 1000) == [tick for tick in whole if tick <= middle]
    assert rule.between(middle, end, 1000) == [tick for tick in whole if tick > middle]


# -- missed ticks -----------------------------------------------------------------


def test_the_last_ticks_of_a_long_time_are_found_quickly() -> None:
    rule, end = cron("* * * * *", BERLIN), ms("2026-05-01")
    assert rule.between(0, end, 3) == [end - 120_000, end - 60_000, end]
    assert rule.between(end - 60_000, end - 1, 3) == []
    rare = cron("0 0 29 2 *")
    assert rare.between(0, end, 2) == [ms("2020-02-29"), ms("2024-02-29")]
    assert rare.between(ms("2024-02-29"), end, 2) == []


def test_an_interval_is_counted_from_1970() -> None:
    rule = make_rule(None, timedelta(seconds=30), None)
    assert [rule.after(n) for n in (0, 29_999, 30_000)] == [30_000, 30_000, 60_000]
    assert rule.between(10_000, 100_000, 2) == [60_000, 90_000]


# -- bad input ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "give either cron= or every="),
        ({"cron": "* * * * *", "every": 5}, "give either cron= or every="),
        ({"cron": ""}, r"cron='': wrong number of fields; give minute, hour"),
        ({"cron": "61 * * * *"}, r"cron='61 \* \* \* \*': bad minute"),
        ({"cron": "* * * * * * *"}, "wrong number of fields"),
        ({"cron": "@daily"}, "cron='@daily': wrong number"),
        ({"cron": "0 0 31 2 *"}, "bad day-of-month"),
        ({"cron": "* * */20 * 1L"}, "there is no such day in the next fifty years"),
        ({"cron": "٣ * * * *"}, "is no cron expression"),
        ({"cron": "\x1b[2J * * * *"}, r"cron='\\\\x1b\[2J"),
        ({"cron": "* " * 500}, "is no cron expression"),
        ({"cron": 5}, "cron='5' is no cron expression"),
        ({"cron": "* * * * *", "tz": "Mars/Olympus"}, "tz='Mars/Olympus': there is no such time"),
        ({"cron": "* * * * *", "tz": "../../etc/passwd"}, "tz='../../etc/passwd'"),
        ({"cron": "* * * * *", "tz": ""}, "tz=''"),
        ({"cron": "* * * * *", "tz": "Europe"}, "tz='Europe'"),
        ({"every": 0}, "every=0: give a timedelta or seconds, 1 to"),
        ({"every": -5.0}, "every=-5.0"),
        ({"every": timedelta(seconds=-1)}, "every=datetime.timedelta"),
        ({"every": 0.5}, "every=0.5"),
        ({"every": float("nan")}, "every=nan"),
        ({"every": 1e12}, "every=1000000000000.0"),
        ({"every": "5m"}, "every='5m'"),
        ({"every": 5, "tz": BERLIN}, "tz='Europe/Berlin': an interval has no time zone"),
        ({"every": 5, "missed": "none"}, "missed='none': give one of skip, latest, all"),
        ({"every": 5, "overlap": "no"}, "overlap='no': give one of allow, skip"),
        ({"every": 5, "most": 0}, "most=0: give 1 to"),
        ({"every": 5, "key": ""}, "key= takes 1 to"),
        ({"every": 5, "expires": -1}, "expires=-1"),
        ({"every": 5, "group": "a b"}, "'a b' is not a valid group name"),
    ],
)
def test_what_cannot_be_used_is_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_schedule("s", "t", **options)


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 257])
def test_names(name: str) -> None:
    with pytest.raises(ConfigError, match="is not a valid name of a schedule"):
        make_schedule(name, "t", every=5)


@settings(max_examples=300, deadline=None)
@given(st.text("0123456789*/,-L#WMONJAN ", max_size=25))
def test_no_expression_is_more_than_refused(expression: str) -> None:
    try:
        cron(expression, BERLIN)
    except ConfigError:
        pass


# -- as Redis has it ------------------------------------------------------------------


@pytest.mark.parametrize(
    "schedule",
    [
        make_schedule("s", "t", every=30),
        make_schedule("s:t\u00e9", "t", cron="0 7 * * mon", tz=BERLIN, group="g", key="k"),
        make_schedule("s", "t", every=4.35, expires=4.35, missed="all", most=7, overlap="skip"),
        make_schedule("s", "t", every=1, raw=b"\xff", declared=True),
    ],
    ids=repr,
)
def test_what_is_written_is_read_again(schedule: Schedule) -> None:
    name = schedule.name.encode()
    kept = read_all(
        [b"version", b"7", b"schedule:" + name, schedule.definition, b"data:" + name, schedule.raw]
    )
    assert kept.version == b"7"
    [one] = kept.schedules.values()
    assert one.schedule == schedule
    assert one.is_as(schedule)


@pytest.mark.parametrize(
    "definition",
    [b"", b"[]", b"{}", b'{"type":"t"}', b'{"type":"t","every":"x"}', b"\xff",
     b'{"type":"t","every":5000,"from_the_future":1}', b'{"type":"t","cron":"* * *"}',
     b'{"type":"t","cron":"* * * * *","tz":"Mars/Olympus"}', b'{"type":7,"every":5000}'],
)  # fmt: skip
def test_what_cannot_be_read_says_why(definition: bytes) -> None:
    one = read_all([b"schedule:s", definition]).schedules["s"]
    assert one.schedule is None
    assert one.problem is not None
    assert one.problem.startswith("it cannot be read: ")


def test_the_library_is_imported_by_those_who_have_an_expression() -> None:
    code = (
        "import sys; from streamq import App; app = App(); app.handler('a')(lambda: None); "
        "app.worker; app.every(5, type='b')(lambda: None); "
        "app.subscriptions(); print('cronsim' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_entry_has_what_was_asked_for() -> None:
    schedule = make_schedule("s", "t", every=5, group="g", key="k", expires=60)
    assert schedule.fields(5000) == [
        "type", "t", "data", b"{}", "key", "k", "expires", 60000, "for", "g", "tick", 5000,
    ]  # fmt: skip
    assert "tick" not in schedule.fields()
