"""For the tests of a program that uses streamq.

Without a server, a handler or a whole app is run inline, as a worker would run it::

    from streamq import testing

    async def test_a_broken_photograph() -> None:
        done = await testing.handle(app, "photo_added", {"file": "broken.png"}, group="images")
        assert done.outcome is testing.Outcome.RETRY
        assert done.error == "OSError: image file is truncated"

With a real one that is thrown away afterwards::

    async with testing.server() as url, App(url) as app:
        ...
        await app.produce("photo_added", {"file": "a.png"})
        done = await testing.drain(app)

pytest finds the fixtures ``streamq_url`` and ``streamq_app`` by itself.
"""

from streamq.testing.draining import drain
from streamq.testing.inline import Emitted, Handled, Inline, handle
from streamq.testing.servers import server
from streamq.verdict import Outcome

__all__ = ["Emitted", "Handled", "Inline", "Outcome", "drain", "handle", "server"]
