"""Take the pictures of the dashboard that the documentation shows: ``scripts/screenshots``."""

from __future__ import annotations

import asyncio
import shutil
import sys
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from playwright.async_api import Browser, async_playwright

from streamq.ui.http.serving import HTTPServer
from streamq.ui.web import dashboard
from tests.servers import RedisServer, binaries
from tests.ui.web.scene import playing

DIRECTORY = Path(__file__).parents[3] / "docs" / "img"

IMAGES = "stream=images&group=thumbnails"

WARM_UP = 100.0
"""Seconds for which the shop works, so that the charts have something to show."""


class Shot(NamedTuple):
    """One picture."""

    name: str
    path: str
    dark: bool = False
    phone: bool = False
    height: int = 800


SHOTS = (
    Shot("overview", "", height=900),
    Shot("overview-dark", "", dark=True, height=900),
    Shot("overview-phone", "", phone=True),
    Shot("dead-letters", f"dead?{IMAGES}", height=860),
    Shot("job", "job?{job}", height=900),
)


async def main() -> None:
    """Take all, or those that are named."""
    wanted = [shot for shot in SHOTS if not sys.argv[1:] or shot.name in sys.argv[1:]]
    server = RedisServer(next(iter(binaries().values()))).start()
    try:
        with server.client() as client:
            async with playing(server.url, client) as app:
                letters = app.admin.dead_letters("images", "thumbnails")
                [letter] = [one async for one in letters.list(limit=1)]
                job = f"{IMAGES}&id={letter.job_id}"
                shown = dashboard(
                    app, mask=["password", "*.token"],
                    trace_url="https://traces.example/{trace_id}",
                )  # fmt: skip
                http = HTTPServer(shown, "127.0.0.1", 0)
                serving = asyncio.create_task(http.run())
                await _take(http.url, wanted, job)
                http.stop()
                await serving
    finally:
        server.stop()


async def _take(url: str, wanted: list[Shot], job: str) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("there is no chromium on the PATH (Debian: apt install chromium)")
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        watching = await browser.new_page()
        await watching.goto(url)  # the charts begin when somebody looks
        await asyncio.sleep(WARM_UP)
        for shot in wanted:
            await _one(browser, f"{url}/{shot.path.format(job=job)}", shot)
        await browser.close()


async def _one(browser: Browser, url: str, shot: Shot) -> None:
    size = {"width": 390, "height": 844} if shot.phone else {"width": 1280, "height": shot.height}
    context = await browser.new_context(
        color_scheme="dark" if shot.dark else "light",
        viewport=size,  # type: ignore[arg-type]  # a TypedDict of its own
        device_scale_factor=2 if shot.phone else 1,
        timezone_id="UTC",
        locale="en-GB",
    )
    page = await context.new_page()
    await page.goto(url)
    await page.wait_for_timeout(2500)
    # A traceback names this checkout, which is nobody's business.
    await page.evaluate(
        "(here) => { for (const it of document.querySelectorAll('pre')) "
        "it.textContent = it.textContent.replaceAll(here, '/srv/shop/worker.py') }",
        str(Path(__file__).with_name("scene.py")),
    )
    raw = await page.screenshot()
    await context.close()
    with Image.open(BytesIO(raw)) as picture:
        small = picture.convert("RGB")
        small.save(DIRECTORY / f"dashboard-{shot.name}.png", optimize=True)


if __name__ == "__main__":
    asyncio.run(main())
