"""The dashboard in a real browser: Chromium."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import redis
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect
from starlette.applications import Starlette
from starlette.routing import Mount

from streamq import App
from streamq.ui.web import dashboard
from tests.servers import RedisServer
from tests.situations import GROUP, fail
from tests.ui.web.conftest import Serve
from tests.ui.web.scene import playing

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

IMAGES = "stream=images&group=thumbnails"

PAGES = (
    "", f"group?{IMAGES}", "pending", f"pending?{IMAGES}", "pending?stream=orders&group=billing",
    "pending?stream=images&group=archive", "dead", f"dead?{IMAGES}",
    "dead?stream=orders&group=search", f"dead?{IMAGES}&q=nothing", "consumers", "scheduled",
    "cron", "limits", "limits?stream=orders&group=emails", "find?id=1-1", "nothing-here",
)  # fmt: skip


@pytest.fixture
def client(one_server: RedisServer) -> Iterator[redis.Redis]:
    with one_server.client() as client:
        yield client


@asynccontextmanager
async def opened(browser: Browser, **options: Any) -> AsyncIterator[Page]:
    """A page that must have no error in its console, whatever happens."""
    wrong: list[str] = []
    context = await browser.new_context(**options)
    page = await context.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console",
        lambda said: (
            wrong.append(said.text)
            if said.type in ("error", "warning") and "404 (Not Found)" not in said.text
            else None
        ),
    )
    yield page
    await context.close()
    assert not wrong


async def test_no_page_keeps_anybody_out(
    one_server: RedisServer, client: redis.Redis, serve: Serve, browser: Browser
) -> None:
    """axe-core finds nothing on any page, light or dark, wide or narrow."""
    found: list[str] = []
    async with playing(one_server.unix_url, client, busy=False) as app:
        letters = app.admin.dead_letters("images", "thumbnails")
        [letter] = [letter async for letter in letters.list(limit=1)]
        pages = [*PAGES, f"job?{IMAGES}&id={letter.job_id}"]
        async with serve(dashboard(app)) as url:
            for scheme, width in (("light", 1280), ("dark", 390)):
                size = {"width": width, "height": 800}
                async with opened(browser, color_scheme=scheme, viewport=size) as page:
                    for path in pages:
                        await page.goto(f"{url}/{path}")
                        result = await Axe().run(page)
                        found += [
                            f"{scheme} /{path}: {one['id']}: {node['html'][:200]}"
                            for one in result.response["violations"]
                            for node in one["nodes"]
                        ]
    assert not found, "\n".join(found)


async def test_no_page_is_wider_than_a_phone(
    one_server: RedisServer, client: redis.Redis, serve: Serve, browser: Browser
) -> None:
    async with (
        playing(one_server.unix_url, client, busy=False) as app,
        serve(dashboard(app)) as url,
        opened(browser, viewport={"width": 360, "height": 740}) as page,
    ):
        for path in PAGES:
            await page.goto(f"{url}/{path}")
            over = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert over <= 0, path


async def test_numbers_change_while_one_looks(
    one_server: RedisServer, serve: Serve, browser: Browser
) -> None:
    async with App(one_server.unix_url) as app:
        await app.admin.create_group("jobs", GROUP)
        async with serve(dashboard(app)) as url, opened(browser) as page:
            await page.goto(url)
            queued = page.locator(f'td [data-live="group:jobs:{GROUP}:queued"]')
            await expect(queued).to_have_text("0")
            await expect(page.locator("[data-link-text]")).to_have_text("live")
            await app.produce_many(("t", {"n": n}) for n in range(1234))
            await expect(queued).to_have_text("1,234")
            await expect(page.locator(".chart.lag .line")).to_have_attribute("d", re.compile("L"))
            # A group that was not there when the page was made.
            await app.admin.create_group("jobs", "another")
            await expect(page.get_by_role("link", name="another", exact=True).first).to_be_visible()
            await expect(page.get_by_text("another on jobs has no live consumer")).to_be_visible()


async def test_a_server_that_is_away_is_said_and_comes_back(
    serve: Serve, browser: Browser, one_server: RedisServer
) -> None:
    server = RedisServer(one_server.binary).start()
    try:
        async with App(server.unix_url) as app:
            await app.admin.create_group("jobs", GROUP)
            async with serve(dashboard(app)) as url, opened(browser) as page:
                await page.goto(url)
                await expect(page.locator("[data-link-text]")).to_have_text("live")
                server.kill()
                away = page.get_by_role("alert").filter(has_text="The numbers are old")
                await expect(away).to_be_visible(timeout=20_000)
                server.start()
                await expect(away).to_be_hidden(timeout=20_000)
                await expect(page.locator("[data-link-text]")).to_have_text("live")
    finally:
        server.stop()


async def test_redriving_with_the_mouse_and_the_keyboard(
    one_server: RedisServer, serve: Serve, browser: Browser
) -> None:
    async with App(one_server.unix_url) as app:
        await app.produce_many(("resize", {"n": n}) for n in range(5))
        await fail(one_server.unix_url, retries=0, jobs=5)
        outer = Starlette(routes=[Mount("/queues", dashboard(app))])
        async with serve(outer) as url, opened(browser) as page:
            await page.goto(f"{url}/queues/")
            await page.get_by_role("link", name=re.compile("Dead letters")).first.click()
            await page.get_by_role("link", name=GROUP).first.click()
            some = page.get_by_role("group", name="With the chosen dead letters")
            redrive = some.get_by_role("button", name="Redrive…")
            await expect(redrive).to_be_disabled()
            for key in "jjxjx":  # past the error, to the first letter, and the second
                await page.keyboard.press(key)
            await expect(some.get_by_text("2 chosen")).to_be_visible()
            await redrive.click()
            await expect(page.get_by_role("heading")).to_have_text(
                f"Redrive 2 dead letters of {GROUP}?"
            )
            await page.get_by_role("button", name="Redrive 2 jobs").click()
            await expect(page.locator(".flash.good")).to_have_text("Redrove 2 jobs.")
            await page.get_by_role("button", name="Purge all 3…").click()
            await page.get_by_role("link", name="No, go back").click()
            assert await app.admin.dead_letters("jobs", GROUP).count() == 3
            await page.get_by_role("button", name="Purge all 3…").click()
            await page.get_by_role("button", name="Purge 3 dead letters").click()
            await expect(page.get_by_text(f"{GROUP} has no dead letters")).to_be_visible()
            assert await app.admin.dead_letters("jobs", GROUP).count() == 0


async def test_the_keyboard_alone(one_server: RedisServer, serve: Serve, browser: Browser) -> None:
    async with App(one_server.unix_url) as app:
        await app.admin.create_group("jobs", GROUP)
        await app.admin.create_group("jobs", "other")
        job = await app.produce("t")
        async with serve(dashboard(app)) as url, opened(browser) as page:
            await page.goto(url)
            await page.keyboard.type("/")
            await page.keyboard.type(job.id)
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("heading", level=1)).to_have_text(f"Job {job.id}")
            await page.keyboard.type("go")
            await page.wait_for_url(f"{url}/")
            await page.keyboard.type("gg")
            await expect(page.get_by_label("Filter the list of groups")).to_be_focused()
            await page.keyboard.type("oth")
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("heading", level=1)).to_have_text("other on jobs")
            await page.keyboard.type("gp")
            await expect(page.get_by_role("heading", level=1)).to_have_text("Pending other on jobs")
            await page.keyboard.type("?")
            await expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
            await page.keyboard.press("Escape")
            await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_without_scripts_it_works_too(
    one_server: RedisServer, serve: Serve, browser: Browser
) -> None:
    async with App(one_server.unix_url) as app:
        await app.produce("t")
        await fail(one_server.unix_url, retries=0)
        async with (
            serve(dashboard(app)) as url,
            opened(browser, java_script_enabled=False) as page,
        ):
            await page.goto(f"{url}/dead?stream=jobs&group={GROUP}")
            await page.locator('input[name="id"][type="checkbox"]').check()
            await page.locator(".actions button").first.click()
            await page.get_by_role("button", name="Redrive 1 job").click()
            await expect(page.locator(".flash.good")).to_contain_text("Redriven")


async def test_a_script_in_the_data_does_not_run(
    one_server: RedisServer, serve: Serve, browser: Browser
) -> None:
    evil = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    async with App(one_server.unix_url) as app:
        job = await app.produce("t", {"html": evil})
        await fail(one_server.unix_url, retries=0)
        async with serve(dashboard(app)) as url, opened(browser) as page:
            for path in (f"job?stream=jobs&id={job.id}", f"dead?stream=jobs&group={GROUP}"):
                await page.goto(f"{url}/{path}")
                await expect(page.get_by_text("document.title").first).to_be_visible()
                await anyio.lowlevel.checkpoint()
                assert "owned" not in await page.title()
                assert await page.locator("main img, main script").count() == 0
