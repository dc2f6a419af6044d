"""A group, or one type in it, that begins nothing for a while; rules changed while it works."""

import asyncio

from streamq import App

app = App()
mails = app.group("mails")


@mails.handler("newsletter")
async def send_newsletter(to: str) -> None:
    """Held while its type is paused."""
    print(f"newsletter to {to}")


@mails.handler("password")
async def send_password(to: str) -> None:
    """Goes on."""
    print(f"password to {to}")


async def main() -> None:
    """Newsletters wait while the provider is down; then they come more slowly."""
    async with app:
        await app.admin.create_group("jobs", "mails")
        await app.admin.pause("jobs", "mails", type="newsletter")
        await app.produce("newsletter", {"to": "ann"})
        await app.produce("password", {"to": "bob"})
        await app.worker(max_jobs=1).run()
        [job] = [job async for job in app.admin.pending("jobs", "mails")]
        print(f"{job.type}: {job.state}, waits for {job.held_for}")

        await app.admin.set_rules("jobs", "mails", rate="20/s")
        await app.admin.resume("jobs", "mails", type="newsletter")
        await app.worker(burst=True).run()
        await app.admin.set_rules("jobs", "mails", rate="default")


if __name__ == "__main__":
    asyncio.run(main())

# password to bob
# newsletter: held, waits for paused
# newsletter to ann
