"""Where a handler failed is in its dead letter, shortened, and in the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from streamq import App, Dead, Retry
from streamq.admin import DeadLetter
from streamq.limits import MAX_LOGGED, MAX_TRACEBACK
from streamq.observe.log_lines import LogObserver
from streamq.tracebacks import HEAD, shortened, traceback_of
from tests.worker.support import AT_ONCE

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def nothing_logged_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages that are alike are summed up, those of other tests included."""
    monkeypatch.setattr(logging.getLogger("streamq"), "filters", [])


def deep(depth: int) -> None:
    if depth:
        deep(depth - 1)
    raise LookupError("a \x1b[31mred\nerror")


def fail() -> None:
    deep(2)


async def fail_async() -> None:
    try:
        fail()
    except LookupError as error:
        raise ValueError("no") from error


async def fail_in_tasks() -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fail_async())


async def hang() -> None:
    await asyncio.Event().wait()


async def give_up() -> None:
    raise Dead("never")


async def later() -> None:
    raise Retry("not yet")


async def give_up_after() -> None:
    try:
        fail()
    except LookupError as error:
        raise Dead("never") from error


async def the_letter(app: App) -> DeadLetter:
    [letter] = [one async for one in app.admin.dead_letters("jobs", "default").list()]
    return letter


async def run(app: App, caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Run all there is, and return what was logged at WARNING and above."""
    with caplog.at_level(logging.WARNING, "streamq"):
        await app.worker(burst=True, observers=[LogObserver()]).run()
    return list(caplog.records)


@pytest.mark.parametrize("kind", ["async", "thread", "process"])
async def test_a_letter_tells_where_its_handler_failed(
    kind: str, app: App, caplog: pytest.LogCaptureFixture
) -> None:
    handler = fail_async if kind == "async" else fail
    app.handler("t", retries=0, process=kind == "process")(handler)
    job = await app.produce("t", {})
    [record] = await run(app, caplog)

    letter = await the_letter(app)
    lines = letter.traceback.splitlines()
    assert lines[0] == HEAD
    assert f'  File "{__file__}", line ' in lines[1]
    assert lines[1].endswith(", in fail_async" if kind == "async" else ", in fail")
    assert lines[-3:] == (
        [lines[-3], '    raise ValueError("no") from error', "ValueError: no"]
        if kind == "async"
        else [
            '    raise LookupError("a \\x1b[31mred\\nerror")',
            "LookupError: a \\x1b[31mred", "  error",
        ]
    )  # fmt: skip
    assert not [line for line in lines if "/streamq/worker/" in line or "/anyio/" in line]
    assert "\n" not in letter.error
    assert letter.to_dict()["traceback"] == letter.traceback
    [group] = (await app.admin.status("jobs", job.id, "default")).groups
    assert (group.error, group.traceback) == (letter.error, letter.traceback)

    assert record.exc_text == letter.traceback
    assert vars(record).items() >= {"job_id": job.id, "type": "t", "attempt": 1}.items()


async def test_each_failure_is_logged_with_it(app: App, caplog: pytest.LogCaptureFixture) -> None:
    app.handler("t", retries=1, backoff=AT_ONCE)(fail_async)
    await app.produce("t", {})
    records = await run(app, caplog)

    assert [record.levelname for record in records] == ["WARNING", "ERROR"]
    assert all("in deep" in str(record.exc_text) for record in records)


async def test_what_tasks_raised_is_told(app: App, caplog: pytest.LogCaptureFixture) -> None:
    app.handler("t", retries=0)(fail_in_tasks)
    await app.produce("t", {})
    await run(app, caplog)

    text = (await the_letter(app)).traceback
    assert "ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)\n  | " in text
    assert "  | ValueError: no\n" in text
    assert ", in deep\n" in text


async def test_a_timeout_tells_where_the_handler_was(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    app.handler("t", retries=0, timeout=0.05)(hang)
    await app.produce("t", {})
    await run(app, caplog)

    letter = await the_letter(app)
    assert letter.error == "ran longer than its timeout of 0.05 s"
    assert ", in hang\n    await asyncio.Event().wait()\n" in letter.traceback


@pytest.mark.parametrize("handler", [give_up, later])
async def test_a_failure_that_was_foreseen_needs_none(
    handler: Callable[[], object], app: App, caplog: pytest.LogCaptureFixture
) -> None:
    app.handler("t", retries=0)(handler)
    await app.produce("t", {})
    records = await run(app, caplog)

    assert (await the_letter(app)).traceback == ""
    assert records
    assert not [record for record in records if record.exc_info or record.exc_text]


async def test_but_what_led_to_it_may_be_told(app: App, caplog: pytest.LogCaptureFixture) -> None:
    app.handler("t")(give_up_after)
    await app.produce("t", {})
    await run(app, caplog)

    text = (await the_letter(app)).traceback
    assert "LookupError: a" in text
    assert text.endswith("streamq.retry.Dead: never")


async def test_what_was_summed_up_has_cost_nothing(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    app.handler("t", retries=0)(fail)
    await app.produce_many([("t", {}) for _ in range(50)])
    records = await run(app, caplog)

    failures = [record for record in records if "moved to DLQ" in record.getMessage()]
    assert len([record for record in failures if record.exc_text]) == 20


# -- without a server ---------------------------------------------------------


def raised(function: Callable[[], object]) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("it raised nothing")


def test_it_is_bounded_and_the_first_and_last_lines_are_kept() -> None:
    def last() -> None:
        raise ValueError("x" * 1_000_000)

    code = "\n".join(f"def f{n}(go): f{n + 1}(go)" for n in range(200)) + "\ndef f200(go): go()"
    names: dict[str, object] = {}
    exec(compile(code, "somewhere.py" * 30, "exec"), names)
    text = traceback_of(raised(lambda: names["f0"](last)))  # type: ignore[operator]

    assert len(text) <= MAX_LOGGED
    assert "… 154 more" in text
    short = shortened(text)
    assert MAX_TRACEBACK - 1000 < len(short) <= MAX_TRACEBACK
    assert short.startswith(HEAD)
    assert "\n  …\n" in short
    assert short.splitlines()[-1].startswith("ValueError: xxx")


def test_a_traceback_that_fits_stays_as_it_is() -> None:
    assert shortened("a\nb", 3) == "a\nb"
    assert len(shortened("a\n" * 100, 50)) <= 50
    assert len(shortened("a" * 100, 50)) <= 50


def test_a_message_of_many_lines_is_not_taken_for_lines_of_the_log() -> None:
    def forge() -> None:
        error = ValueError("a\n11:01:33 ERROR   Job 1-1 moved to DLQ")
        error.add_note("b\r11:01:33 ERROR")
        raise error

    lines = traceback_of(raised(forge)).splitlines()
    assert lines[-4:] == [
        "ValueError: a", "  11:01:33 ERROR   Job 1-1 moved to DLQ", "  b", "  11:01:33 ERROR",
    ]  # fmt: skip


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Hidden(Exception):
    @property
    def __notes__(self) -> list[str]:  # type: ignore[override]
        raise RuntimeError("no notes")


def throw(error: BaseException) -> None:
    raise error


def for_ever() -> None:
    for_ever()


def test_errors_that_cannot_be_shown_are_no_trouble() -> None:
    assert traceback_of(raised(lambda: throw(Mute()))).endswith(f"{__name__}.Mute: <Mute>")
    assert traceback_of(raised(lambda: throw(Hidden()))) == ""
    assert "RecursionError" in traceback_of(raised(for_ever))
    circle = ValueError()
    circle.__context__ = circle
    assert traceback_of(circle) == ""
    first, second = ValueError("1"), ValueError("2")
    first.__cause__, second.__cause__ = second, first
    assert traceback_of(raised(lambda: throw(first))).endswith("\nValueError: 1")
