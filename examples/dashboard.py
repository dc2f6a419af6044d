"""The dashboard in an app of one's own: here, asked by a program instead of a browser."""

import asyncio
import re

import httpx
from starlette.applications import Starlette
from starlette.routing import Mount

from streamq import App, Dead, Job
from streamq.ui.web import dashboard

app = App()
images = app.group("images")
web = Starlette(routes=[Mount("/queues", dashboard(app, mask=["password"]))])


@images.handler("resize")
async def resize(job: Job, file: str, password: str) -> None:
    """Fail for good."""
    raise Dead(f"{file} is no picture")


async def main() -> None:
    """Let two jobs die, and see how the dashboard shows them."""
    async with app:
        for file in ("a.txt", "b.txt"):
            await app.produce("resize", {"file": file, "password": "hunter2"})
        await app.worker(max_jobs=2).run()
        transport = httpx.ASGITransport(web)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as browser:
            page = (await browser.get("/queues/dead?stream=jobs&group=images")).text
    for row in re.findall(r"<tr data-row>.*?</tr>", page, re.DOTALL)[:1]:
        text = re.sub(r"<[^>]*>", " ", row)
        count, _, *words = text.split()
        print(count, "of them:", *words[:4])
    print("masked:", "••••••" in page, "shown:", "hunter2" in page)


if __name__ == "__main__":
    asyncio.run(main())

# 2 of them: … is no picture
# masked: True shown: False
