"""Typed payloads: their types, on the producing and on the handling side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydantic
import pytest
import redis

from streamq import App, Event, Job, NewJob
from streamq.errors import ConfigError
from streamq.event import event_type, snake_case
from streamq.handlers.handler import make_handler
from tests.lua.support import raw_entries
from tests.worker.support import Outcome, drain


class PhotoAdded(Event):
    file: Path
    width: int = 256


class Renamed(PhotoAdded, type="photo.renamed"):
    old: str = ""


class Inherited(Renamed):
    pass


@pytest.mark.parametrize(
    ("name", "type"),
    [
        ("PhotoAdded", "photo_added"),
        ("HTTPRequestDone", "http_request_done"),
        ("Order2Paid", "order2_paid"),
        ("ID", "id"),
        ("lower", "lower"),
    ],
)
def test_a_class_name_gives_the_type(name: str, type: str) -> None:
    assert snake_case(name) == type


def test_a_type_may_be_named_and_is_not_inherited() -> None:
    assert event_type(PhotoAdded) == "photo_added"
    assert event_type(PhotoAdded(file=Path("a"))) == "photo_added"
    assert event_type(Renamed) == "photo.renamed"
    assert event_type(Inherited) == "inherited"


def test_a_name_that_is_no_type_is_refused() -> None:
    with pytest.raises(ConfigError, match="job type"):

        class Bad(Event, type="a\n"):
            pass


def test_a_wrong_field_is_refused_where_the_event_is_made() -> None:
    wrong: Any = {"file": "a.png", "width": "wide"}
    with pytest.raises(pydantic.ValidationError):
        PhotoAdded(**wrong)


@pytest.mark.anyio
async def test_from_produce_to_the_handler(app: App, client: redis.Redis) -> None:
    seen: list[Any] = []
    images = app.group("images")

    @images.handler()
    async def make_thumbnail(job: Job, event: PhotoAdded) -> None:
        seen.append((job.type, event))
        job.emit(Renamed(file=event.file, old="b"), key="k")

    @images.handler()
    def note(event: Renamed) -> None:
        seen.append(event)

    await app.produce(PhotoAdded(file=Path("a.png")), unique="a")
    [(_, fields)] = raw_entries(client, "jobs")
    assert fields == [("type", "photo_added"), ("data", '{"file":"a.png","width":256}')]
    watch = await drain(app)
    assert seen == [
        ("photo_added", PhotoAdded(file=Path("a.png"))),
        Renamed(file=Path("a.png"), old="b"),
    ]
    assert watch.outcomes == [Outcome.SUCCEEDED] * 2


@pytest.mark.anyio
async def test_events_in_bulk(app: App, client: redis.Redis) -> None:
    event = PhotoAdded(file=Path("a.png"), width=1)
    await app.produce_many([event, NewJob(event, key="k"), ("t", {})], expires=2)
    assert [[name for name, _ in fields] for _, fields in raw_entries(client, "jobs")] == [
        ["type", "data", "expires"],
        ["type", "data", "key"],
        ["type", "data", "expires"],
    ]


@pytest.mark.anyio
async def test_data_that_does_not_fit_is_a_dead_letter(app: App) -> None:
    @app.handler()
    def handle(event: PhotoAdded) -> None:
        raise AssertionError

    await app.produce("photo_added", {"width": "wide"})
    [verdict] = (await drain(app)).verdicts
    assert (verdict.outcome, verdict.reason) == (Outcome.DEAD, "invalid arguments")
    assert verdict.error.startswith("file is missing; width: Input should be a valid integer")


def test_a_handler_takes_one_event_and_nothing_beside_it() -> None:
    def two(a: PhotoAdded, b: Renamed) -> None: ...

    def more(event: PhotoAdded, width: int) -> None: ...

    with pytest.raises(ConfigError, match="two events"):
        make_handler("t", two)
    with pytest.raises(ConfigError, match="all of the data"):
        make_handler("t", more)


@pytest.mark.anyio
async def test_an_event_has_its_own_data(app: App) -> None:
    produce: Any = app.produce
    with pytest.raises(TypeError, match="leave out the mapping"):
        await produce(PhotoAdded(file=Path("a")), {"file": "b"})
    with pytest.raises(TypeError, match="a mapping, or an Event, not int"):
        await produce(7)
