"""One look at the server for all who look, and none while nobody does."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
import redis

from streamq import App
from streamq.admin import Snapshot
from streamq.errors import ServerUnavailable
from streamq.ui.web.pictures import Away, Pictures
from tests.situations import GROUP, add

pytestmark = pytest.mark.anyio


class Camera:
    """Counts the pictures that are taken, and fails when told to."""

    def __init__(self, app: App) -> None:
        self.taken = 0
        self.broken = False
        self._app = app

    async def watch(self) -> AsyncIterator[Snapshot]:
        async for picture in self._app.admin.watch(interval=0.001):
            if self.broken:
                raise ServerUnavailable("it is away")
            self.taken += 1
            yield picture


@pytest.fixture
def camera(app: App) -> Camera:
    return Camera(app)


@pytest.fixture
async def pictures(camera: Camera, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pictures]:
    monkeypatch.setattr("streamq.ui.web.pictures.INTERVAL", 0.02)
    monkeypatch.setattr("streamq.ui.web.pictures._FRESH", 0.0)
    pictures = Pictures(camera.watch)
    yield pictures
    await pictures.close()


async def test_all_viewers_see_the_same_pictures(camera: Camera, pictures: Pictures) -> None:
    with pictures.viewing() as first, pictures.viewing() as second:
        assert pictures.viewers == 2
        for _ in range(3):
            assert await first.get() is await second.get()
    assert camera.taken in (3, 4)


async def test_nobody_looks_and_nothing_is_asked(camera: Camera, pictures: Pictures) -> None:
    with pictures.viewing() as news:
        await news.get()
    await anyio.sleep(0.05)  # the turn that finds that nobody is there
    taken = camera.taken
    await anyio.sleep(0.1)
    assert camera.taken == taken
    with pictures.viewing() as news:  # the last picture at once, then a new one
        assert await news.get() is not await news.get()


async def test_pages_at_the_same_moment_share_one(
    camera: Camera, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamq.ui.web.pictures._FRESH", 60.0)
    found: list[Snapshot] = []

    async def take() -> None:
        found.append(await pictures.take())

    async with anyio.create_task_group() as visitors:
        for _ in range(20):
            visitors.start_soon(take)
    assert camera.taken == 1
    assert len({id(picture) for picture in found}) == 1


async def test_a_server_that_is_away_is_told_and_asked_again(
    camera: Camera, pictures: Pictures
) -> None:
    with pictures.viewing() as news:
        assert isinstance(await news.get(), Snapshot)
        camera.broken = True
        while not isinstance(told := await news.get(), Away):
            pass
        assert told.why == "it is away"
        camera.broken = False
        while isinstance(await news.get(), Away):
            pass


async def test_rates_come_with_the_second_picture(client: redis.Redis, pictures: Pictures) -> None:
    client.xgroup_create("jobs", GROUP, "0", mkstream=True)
    await pictures.take()
    add(client, {"n": "1"})
    await pictures.take()
    first, second = pictures.history
    assert first.all.added is None
    assert second.all.added is not None
    assert second.all.added > 0
    assert second.groups["jobs", GROUP].queued == 1
