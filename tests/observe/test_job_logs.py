"""Lines of a handler's log say which job they are about."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
from collections.abc import Iterator

import pytest

from streamq import App, Job, JobLogFilter, JsonLogFormatter, Settings, current_job
from streamq.observe.job_logs import TextLogFormatter
from streamq.signals import HandlerAbandoned, Signal

log = logging.getLogger("of.the.app")

pytestmark = pytest.mark.anyio


class Lines(logging.Handler):
    """Keeps what is logged, as JSON and as text."""

    def __init__(self) -> None:
        super().__init__()
        self.as_json = JsonLogFormatter()
        self.as_text = TextLogFormatter("%H:%M:%S")
        self.json: list[dict[str, object]] = []
        self.text: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.json.append(json.loads(self.as_json.format(record)))
        self.text.append(self.as_text.format(record).partition(" ")[2])


@pytest.fixture
def lines() -> Iterator[Lines]:
    kept = Lines()
    log.addHandler(kept)
    log.setLevel(logging.INFO)
    yield kept
    log.removeHandler(kept)


def said(line: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in line.items() if name not in ("time", "level", "logger")}


async def test_handlers_in_the_event_loop_and_in_threads(app: App, lines: Lines) -> None:
    seen: list[Job | None] = []
    images = app.group("images")

    @images.handler("waits")
    async def waits(job: Job) -> None:
        await asyncio.sleep(0.01)
        seen.append(current_job())
        log.info("at work")

    @images.handler("blocks")
    def blocks(job: Job) -> None:
        log.info("at work")

    first = await app.produce("waits", {})
    second = await app.produce("blocks", {})
    await app.worker(burst=True).run()

    by_type = {line["type"]: said(line) for line in lines.json}
    for type, id in (("waits", first.id), ("blocks", second.id)):
        consumer = by_type[type].pop("consumer")
        assert consumer
        assert by_type[type] == {
            "message": "at work", "stream": "jobs", "group": "images", "job_id": id,
            "type": type, "attempt": 1,
        }  # fmt: skip
    assert f"INFO    [images waits {first.id} #1] at work" in lines.text
    assert [job.id for job in seen if job] == [first.id]
    assert current_job() is None


async def test_jobs_that_run_side_by_side_are_told_apart(app: App, lines: Lines) -> None:
    @app.handler("waits")
    async def waits(number: int) -> None:
        for _ in range(3):
            log.info("%d", number)
            await asyncio.sleep(0)

    jobs = {str(n): (await app.produce("waits", {"number": n})).id for n in range(40)}
    await app.worker(burst=True, settings=Settings(concurrency=7)).run()

    assert len(lines.json) == 120
    assert all(line["job_id"] == jobs[str(line["message"])] for line in lines.json)


async def test_what_a_handler_leaves_behind_keeps_its_job(app: App, lines: Lines) -> None:
    left: list[asyncio.Task[None]] = []
    all_done = asyncio.Event()

    async def go_on(number: int, begun: asyncio.Event) -> None:
        log.info("%d", number)
        begun.set()
        await all_done.wait()
        log.info("%d", number)

    @app.handler("leaves")
    async def leaves(number: int) -> None:
        begun = asyncio.Event()
        left.append(asyncio.ensure_future(go_on(number, begun)))
        await begun.wait()
        if len(left) == 20:
            all_done.set()
            await asyncio.wait(left)

    jobs = {str(n): (await app.produce("leaves", {"number": n})).id for n in range(20)}
    await app.worker(burst=True, settings=Settings(concurrency=1)).run()

    assert len(lines.json) == 40
    assert all(line["job_id"] == jobs[str(line["message"])] for line in lines.json)


async def test_a_thread_that_runs_on_keeps_its_job(app: App, lines: Lines) -> None:
    next_one, told = threading.Event(), threading.Event()

    @app.handler("blocks", timeout=0.05, retries=0)
    def blocks() -> None:
        next_one.wait(30)
        log.info("at work")
        told.set()

    @app.handler("next")
    async def next_job() -> None:
        next_one.set()
        await asyncio.to_thread(told.wait, 30)
        log.info("at work")

    first = await app.produce("blocks", {})
    second = await app.produce("next", {})
    await app.worker(burst=True, settings=Settings(concurrency=1)).run()

    assert [line["job_id"] for line in lines.json] == [first.id, second.id]


async def test_threads_of_a_handler_know_its_job(app: App, lines: Lines) -> None:
    @app.handler("asks")
    async def asks(number: int) -> None:
        await asyncio.to_thread(log.info, "%d", number)

    jobs = {str(n): (await app.produce("asks", {"number": n})).id for n in range(20)}
    await app.worker(burst=True, settings=Settings(concurrency=2)).run()

    assert {str(line["message"]): line["job_id"] for line in lines.json} == jobs


async def test_an_observer_is_told_of_a_timeout_outside_of_jobs(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamq.worker.runners.STUCK_AFTER", 0.05)
    seen: list[Job | None] = []

    @app.handler("first", timeout=0.2)
    async def first() -> None: ...

    @app.handler("stuck", timeout=0.05, retries=0)
    async def stuck() -> None:
        for _ in range(2):
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                pass

    def observe(signal: Signal) -> None:
        if isinstance(signal, HandlerAbandoned):
            seen.append(current_job())

    await app.produce("first", {})
    await app.produce("stuck", {})
    await app.worker(burst=True, observers=[observe]).run()

    assert seen == [None]


async def test_the_next_attempt_says_so(app: App, lines: Lines) -> None:
    @app.handler("fails", retries=1)
    async def fails(job: Job) -> None:
        log.info("trying")
        raise ValueError("no")

    await app.produce("fails", {})
    await app.worker(burst=True).run()

    assert [line["attempt"] for line in lines.json] == [1, 2]


async def test_a_batch_tells_how_many_jobs_it_has(app: App, lines: Lines) -> None:
    @app.handler("many", batch=10)
    async def many(jobs: list[Job]) -> None:
        assert current_job() is None or len(jobs) == 1
        log.info("at work")

    await app.produce_many([("many", {}) for _ in range(10)])
    await app.worker(burst=True).run()

    [line] = lines.json
    assert (line["group"], line["type"], line["jobs"]) == ("default", "many", 10)
    assert "job_id" not in line
    assert lines.text == ["INFO    [default many 10 jobs] at work"]


async def test_a_process_of_its_own_knows_its_job(app: App) -> None:
    app.handler("cpu", process=True)(name_own_job)

    job = await app.produce("cpu", {})
    await app.worker(burst=True).run()

    assert await job.result(timeout=5) == job.id


def name_own_job() -> str | None:
    job = current_job()
    return None if job is None else job.id


# -- without a server ---------------------------------------------------------


def record(message: str = "hello", **more: object) -> logging.LogRecord:
    return logging.makeLogRecord(
        {"name": "a.b", "levelname": "INFO", "msg": message, "created": 1796058272.25, **more}
    )


def test_outside_of_handlers_nothing_is_made_up() -> None:
    assert json.loads(JsonLogFormatter(process=2).format(record(customer="ann"))) == {
        "time": "2026-11-30T17:04:32.250Z", "level": "INFO", "logger": "a.b", "message": "hello",
        "process": 2, "customer": "ann",
    }  # fmt: skip


def test_what_is_not_json_is_logged_all_the_same() -> None:
    odd = record("half \ud800", number=1 << 70, any=object, text={"a": {1, 2}})

    line = json.loads(JsonLogFormatter().format(odd))

    assert line["message"] == "half \\ud800"
    assert line["number"] == str(1 << 70)


def test_an_extra_cannot_take_the_place_of_a_field() -> None:
    line = json.loads(JsonLogFormatter().format(record(level="none", time=0, job_id="mine")))

    assert (line["level"], line["job_id"]) == ("INFO", "mine")
    assert line["time"] != 0


def test_a_traceback_is_a_field_and_safe_to_show() -> None:
    try:
        raise ValueError("a \x1b[31mred\u202e\nerror")
    except ValueError:
        failed = record(exc_info=sys.exc_info())

    line = JsonLogFormatter().format(failed)

    assert "\n" not in line
    text = json.loads(line)["exception"]
    assert text.startswith("Traceback (most recent call last):\n")
    assert "a \\x1b[31mred\\u202e" in text


def test_any_formatter_can_name_the_fields() -> None:
    line = record()
    assert JobLogFilter().filter(line)

    assert logging.Formatter("<%(group)s %(job_id)s %(attempt)s> %(message)s").format(line) == (
        "<  > hello"
    )
    assert "job_id" not in json.loads(JsonLogFormatter().format(line))
