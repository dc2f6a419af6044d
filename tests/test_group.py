"""Groups: what handlers share, groups made elsewhere, and what an app refuses."""

from __future__ import annotations

import anyio
import pytest

from streamq import App, Backoff, Group, Job
from streamq.errors import ConfigError
from streamq.handlers.handler import Handler
from tests.worker.support import Outcome, drain


def plain() -> None: ...


def other() -> None: ...


def handler_of(app: App, group: str, type: str) -> Handler:
    [subscription] = app.subscriptions([group])
    found = subscription.handlers.find(type)
    assert found is not None
    return found


def test_handlers_share_the_rules_of_their_group() -> None:
    app, backoff = App(), Backoff(base=7)
    group = app.group("g", retries=7, backoff=backoff, timeout=9, stream="mails")
    group.handler("a")(plain)
    group.handler("b", retries=0, backoff=Backoff(), timeout=1)(plain)
    a, b = handler_of(app, "g", "a"), handler_of(app, "g", "b")
    assert (a.retries, a.backoff, a.timeout) == (7, backoff, 9)
    assert (b.retries, b.backoff, b.timeout) == (0, Backoff(), 1)
    assert [s.stream for s in app.subscriptions()] == ["mails"]


def test_a_group_made_elsewhere_joins_the_app() -> None:
    group = Group("g", ignore=["x"])
    assert group.handler("t")(plain) is plain
    app = App(stream="mails")
    app.include(group, group)
    app.include(group)
    [subscription] = app.subscriptions()
    assert (subscription.stream, subscription.group) == ("mails", "g")
    assert subscription.handlers.ignores("x")


def test_a_group_may_be_spread_over_modules() -> None:
    one, two = Group("g", ignore=["x"], concurrency=2), Group("g", ignore=["y"], concurrency=3)
    one.handler("a", retries=1)(plain)
    two.handler("b", retries=2)(plain)
    app = App()
    app.include(one, two)
    [subscription] = app.subscriptions()
    assert subscription.handlers.deliveries_by_type == {"a": 2, "b": 3}
    assert subscription.handlers.ignores("x")
    assert subscription.handlers.ignores("y")
    assert subscription.concurrency == 3


def test_two_handlers_of_a_group_for_one_type() -> None:
    one, two = Group("g"), Group("g")
    one.handler("a")(plain)
    two.handler("a")(other)
    app = App()
    app.include(one, two)
    with pytest.raises(ConfigError, match="two handlers for the type 'a': plain and other"):
        app.subscriptions()


def test_what_cannot_be_a_group() -> None:
    with pytest.raises(ConfigError, match="a b"):
        Group("a b")
    with pytest.raises(ConfigError, match="concurrency=0"):
        Group("g", concurrency=0)
    with pytest.raises(ConfigError, match=r"ignore=\['x'\]"):
        Group("g", ignore="x")


@pytest.mark.anyio
async def test_a_group_has_a_concurrency_of_its_own(app: App) -> None:
    running, most = 0, 0

    @app.group("g", concurrency=1).handler("t")
    async def handle(job: Job) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(0.001)
        running -= 1

    await app.produce_many([("t", {})] * 5)
    assert (await drain(app)).outcomes == [Outcome.SUCCEEDED] * 5
    assert most == 1
