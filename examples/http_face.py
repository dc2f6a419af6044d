"""Jobs over HTTP: the API mounted in a web app, and a program that has nothing but HTTP."""

import asyncio

import httpx
from starlette.applications import Starlette
from starlette.routing import Mount

from streamq import App, Job
from streamq.ui.api import api

app = App()
web = Starlette(routes=[Mount("/queue", api(app, token="change-me"))])


@app.group("images").handler("resize")
async def resize(job: Job, file: str) -> dict[str, str]:
    """Make a thumbnail; here, only its name."""
    return {"thumbnail": file.replace(".png", ".jpg")}


async def main() -> None:
    """Write a job twice with one key, work, and ask for the result."""
    transport = httpx.ASGITransport(web)  # in earnest, a URL: http://queue.internal:8080
    token = {"Authorization": "Bearer change-me"}
    async with (
        app,
        httpx.AsyncClient(transport=transport, base_url="http://shop/queue", headers=token) as http,
    ):
        job = {"type": "resize", "data": {"file": "a.png"}}
        for _ in range(2):
            answer = await http.post("/jobs", json=job, headers={"Idempotency-Key": "order-7"})
            print(answer.status_code, "created:", answer.json()["created"])

        await app.worker(burst=True).run()

        result = await http.get(f"/jobs/{answer.json()['id']}/result", params={"timeout": "10s"})
        print(result.status_code, result.json()["state"], result.json()["result"])

        refused = await http.get("/streams", headers={"Authorization": "Bearer x"})
        print(refused.status_code, refused.json()["detail"])


if __name__ == "__main__":
    asyncio.run(main())

# 201 created: True
# 200 created: False
# 200 succeeded {'thumbnail': 'a.jpg'}
# 401 the token or the login is not the right one
