"""All of streamq on a real Cluster, with streams on every node."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import aclosing
from pathlib import Path

import pytest
import trustme

from streamq import App, Job, NewJob
from streamq.errors import (
    AuthenticationFailed,
    ConfigError,
    NotReplicated,
    ServerRefused,
    ServerUnavailable,
    TLSFailed,
)
from streamq.wire.slots import SLOTS
from tests.security.roles import documented
from tests.security.tls import TlsFront
from tests.servers import RedisServer, binaries, free_port
from tests.topology.cluster import ClusterNode, ClusterServers
from tests.waiting import eventually
from tests.worker.support import QUIET, drain, running

pytestmark = pytest.mark.anyio

STREAMS = ("jobs", "a", "b", "mails", "{eu}:jobs")


async def test_streams_are_on_all_nodes(cluster: ClusterServers) -> None:
    assert {cluster.owner(stream).port for stream in STREAMS} == {
        node.port for node in cluster.primaries
    }


async def test_jobs_of_many_streams(app: App, cluster: ClusterServers) -> None:
    handled: list[tuple[str, int]] = []
    for stream in STREAMS:

        @app.handler("t", stream=stream)
        async def handle(job: Job, n: int) -> None:
            handled.append((job.stream, n))

    expected = []
    for stream in STREAMS:
        async with App(cluster.url, stream=stream) as writes:
            await writes.produce("t", {"n": -1})
            many = await writes.produce_many(("t", {"n": n}) for n in range(1500))
            assert [job.created for job in many] == [True] * 1500
        expected += [(stream, n) for n in range(-1, 1500)]
    await drain(app)
    assert sorted(handled) == sorted(expected)
    assert [cluster.owner(stream).ask("XLEN", stream) for stream in STREAMS] == [0] * len(STREAMS)


async def test_following(app: App) -> None:
    for stream in STREAMS:
        app.group("images").handler("t", stream=stream)(lambda: None)
        await app.admin.create_group(stream, "images")
    for stream in STREAMS:
        async with aclosing(app.admin.follow(stream)) as events, asyncio.timeout(60):
            assert (await anext(events)).state == "following"
            async with App(app.url, stream=stream) as writes:
                await writes.produce("t")
            await drain(app)
            assert {(await anext(events)).state for _ in range(2)} == {"queued", "succeeded"}


async def test_the_order_of_many_is_kept(app: App, cluster: ClusterServers) -> None:
    jobs = await app.produce_many(("t", {"n": n}) for n in range(3000))
    ids = [id for id, _ in cluster.owner("jobs").ask("XRANGE", "jobs", "-", "+")]
    assert [job.id for job in jobs] == ids


async def test_options_of_jobs(app: App) -> None:
    app.handler("t")(lambda: None)
    first = await app.produce("t", unique="k")
    assert (await app.produce("t", unique="k")).id == first.id
    later = await app.produce("t", delay=3600)
    await app.produce("t", delay=0.01)
    assert await app.admin.cancel("jobs", later.id)
    mixed = await app.produce_many([NewJob("t", unique="k"), NewJob("t"), NewJob("t", delay=0.01)])
    assert [job.created for job in mixed] == [False, True, True]
    watch = await drain(app)
    assert len(watch.outcomes) == 4


async def test_retries_and_dead_letters(app: App) -> None:
    @app.handler("t", retries=0)
    async def fail() -> None:
        raise RuntimeError("told to")

    await app.produce("t")
    await drain(app)
    letters = app.admin.dead_letters("jobs", "default")
    [letter] = [letter async for letter in letters.list()]
    [redriven] = await letters.redrive([letter.id])
    assert redriven.new_id
    await app.produce("t")
    watch = await drain(app)
    assert len(watch.outcomes) == 2
    assert await letters.count() == 2


async def test_results_of_streams_on_several_nodes(cluster: ClusterServers, app: App) -> None:
    for stream in STREAMS:
        app.handler("t", stream=stream)(lambda n: n * 2)
    writers = [App(cluster.url, stream=stream) for stream in STREAMS]
    jobs = [await writer.produce("t", {"n": n}) for n, writer in enumerate(writers)]
    waiting = [asyncio.ensure_future(job.result(group="default", timeout=10)) for job in jobs]
    async with running(app):
        assert await asyncio.gather(*waiting) == [0, 2, 4, 6, 8]
    for writer in writers:
        await writer.close()


async def test_the_overview_has_the_streams_of_all_nodes(app: App, cluster: ClusterServers) -> None:
    for stream in STREAMS:
        async with App(cluster.url, stream=stream) as writes:
            await writes.produce("t")
            await writes.produce("t", delay=3600)
    async with App(cluster.url, stream="later") as writes:
        await writes.produce("t", delay=3600)
    about = await app.admin.info()
    assert [one.name for one in about.streams] == sorted([*STREAMS, "later"])
    assert [one.scheduled for one in about.streams] == [1] * 6
    assert about.complete
    assert about.server.nodes == 3
    assert {name async for name in app.admin.stream_names()} == set(STREAMS)
    used = [node.ask("INFO", "memory")["used_memory"] for node in cluster.primaries]
    assert about.server.used_memory > max(used)


async def test_the_doctor_looks_at_every_node(app: App, cluster: ClusterServers) -> None:
    await app.produce("t")
    found = {one.name: one for one in (await app.admin.doctor()).findings}
    assert found["memory"].found.endswith("on 3 nodes")
    assert found["persistence"].found.endswith("is lost, on 3 nodes")
    node = cluster.primaries[1]
    node.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        evicting = [one for one in (await app.admin.doctor()).findings if one.name == "eviction"]
        assert [one.found.partition(":")[0] for one in evicting] == ["127.0.0.1"]
        assert f"127.0.0.1:{node.port}: maxmemory-policy is allkeys-lru" in evicting[0].found
        assert (await app.admin.info()).warnings
    finally:
        node.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")


async def test_writes_that_wait_for_replicas(cluster: ClusterServers) -> None:
    async with App(cluster.url, replicas=1) as app:
        assert (await app.produce("t")).created
        assert len(await app.produce_many([("t", {})] * 700)) == 700
    async with App(cluster.url, replicas=2, replica_timeout=0.05) as app:
        with pytest.raises(NotReplicated):
            await app.produce("t")


async def test_all_that_belongs_to_a_job_of_a_stream(app: App) -> None:
    job = await app.produce("t")
    await app.admin.create_group("jobs", "g")
    status = await app.admin.status("jobs", job.id)
    assert [one.state for one in status.groups] == ["queued"]
    assert (await app.admin.prune_data("jobs")) == 0


# -- follow-up events ---------------------------------------------------------


async def test_an_event_for_a_stream_in_another_slot(app: App) -> None:
    errors: list[str] = []

    @app.handler("t", retries=0)
    async def handle(job: Job) -> None:
        job.emit("same", stream="{jobs}:more")
        try:
            job.emit("other", stream="mails")
        except ConfigError as error:
            errors.append(str(error))

    await app.produce("t")
    await drain(app)
    assert "emit to the stream mails: on a Cluster" in errors[0]
    assert (await app.admin.stream("{jobs}:more")).length == 1


@pytest.mark.parametrize("given", ["url", "environment", "cluster"])
async def test_that_it_is_a_cluster_is_known_before_the_first_job(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if given == "environment":
        monkeypatch.setenv("STREAMQ_URL", "redis+cluster://nowhere")
    app = {
        "url": App("redis+cluster://nowhere"),
        "environment": App(),
        "cluster": App("redis://nowhere", cluster=True),
    }[given]
    app.handler("t")(lambda: None)
    [found] = app.subscriptions()
    job = found.handlers.job("1-0", "jobs", "g", "c", 1, ("t", b"{}", None, None))
    with pytest.raises(ConfigError, match="give both the same hash tag"):
        job.emit("other", stream="mails")


# -- finding it ---------------------------------------------------------------


async def test_app_with_cluster(cluster: ClusterServers) -> None:
    url = cluster.primaries[2].url
    async with App(url, cluster=True) as app:
        for stream in STREAMS:
            await app.server.call("XADD", stream, "*", "a", "b")
        assert app.server.where == f"127.0.0.1:{cluster.primaries[2].port}"


async def test_a_plain_url_says_what_to_do(cluster: ClusterServers) -> None:
    for node in (cluster.primaries[0], cluster.replicas[0]):
        async with App(node.url) as app:
            with pytest.raises(
                ServerRefused, match=r"write redis\+cluster:// in the URL"
            ) as caught:
                await app.produce("t")
        assert not caught.value.passing


async def test_a_server_that_is_no_cluster() -> None:
    server = RedisServer(next(iter(binaries().values()))).start()
    try:
        async with App(server.url, cluster=True) as app:
            with pytest.raises(ServerRefused, match="is no node of a Cluster: write redis://"):
                await app.produce("t")
    finally:
        server.stop()


async def test_some_of_the_nodes_in_the_url_may_be_gone(cluster: ClusterServers) -> None:
    url = f"redis+cluster://127.0.0.1:{free_port()},127.0.0.1:{cluster.replicas[1].port}"
    async with App(url) as app:
        assert (await app.produce("t")).created


async def test_no_node_is_there() -> None:
    url = f"redis+cluster://127.0.0.1:{free_port()},127.0.0.1:{free_port()}"
    async with App(url) as app:
        with pytest.raises(ServerUnavailable, match="cannot connect to any node of the Cluster"):
            await app.produce("t")
        with pytest.raises(ServerUnavailable):
            await app.server.link().open()


@pytest.mark.parametrize("url", [None, "unix:///nowhere", "nothing", "redis+sentinel://a/b"])
async def test_a_cluster_needs_a_url(url: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STREAMQ_URL", raising=False)
    with pytest.raises(ConfigError, match="cluster=True needs the URL of a Cluster"):
        App(url, cluster=True)


async def test_credentials_are_those_of_every_node(cluster: ClusterServers) -> None:
    for node in cluster.nodes:
        node.ask("ACL", "SETUSER", "u", "reset", "on", ">p@ss", "~*", "&*", "+@all")
    try:
        hosts = cluster.url.removeprefix("redis+cluster://")
        async with App(f"redis+cluster://u:p%40ss@{hosts}") as app:
            for stream in STREAMS:
                await app.server.call("XADD", stream, "*", "a", "b")
            assert await app.server.call("ACL", "WHOAMI") == b"u"
        async with App(f"redis+cluster://u:wrong@{hosts}") as app:
            with pytest.raises(AuthenticationFailed):
                await app.produce("t")
    finally:
        for node in cluster.nodes:
            node.ask("ACL", "DELUSER", "u")


@pytest.mark.parametrize("role", ["producer", "worker", "inspector"])
async def test_users_for_one_role(cluster: ClusterServers, role: str, app: App) -> None:
    await app.produce("t")
    await app.admin.create_group("jobs", "default")
    more = ("+cluster|slots", "+asking")
    user = documented()[role]
    for node in cluster.nodes:
        node.ask("ACL", "SETUSER", user.user, "reset", "on", ">pw", *user.tokens, *more)
    try:
        hosts = cluster.url.removeprefix("redis+cluster://")
        async with App(f"redis+cluster://{user.user}:pw@{hosts}") as limited:
            limited.handler("t")(lambda: None)
            if role == "producer":
                assert (await limited.produce("t", unique="k")).created
            elif role == "worker":
                assert len((await drain(limited)).outcomes) == 1
            else:
                assert (await limited.admin.stream("jobs")).length == 1
                assert (await limited.admin.info()).streams
        for node in cluster.nodes:
            node.ask("ACL", "SETUSER", user.user, "-cluster|slots")
        async with App(f"redis+cluster://{user.user}:pw@{hosts}") as limited:
            with pytest.raises(AuthenticationFailed, match=r"add \+cluster\|slots to its ACL"):
                await limited.admin.stream("jobs")
    finally:
        for node in cluster.nodes:
            node.ask("ACL", "DELUSER", user.user)


async def test_connections_have_names_on_every_node(cluster: ClusterServers) -> None:
    async with App(cluster.url) as app:
        link = app.server.link("worker-7")
        for stream in STREAMS:
            await link.call("XLEN", stream)
        names = [node.ask("CLIENT", "LIST").count("name=worker-7") for node in cluster.primaries]
        assert names == [1, 1, 1]
        await link.close()
        await eventually(
            lambda: not any("worker-7" in node.ask("CLIENT", "LIST") for node in cluster.primaries)
        )


async def test_a_worker_has_links_to_the_node_of_its_stream(
    cluster: ClusterServers, app: App
) -> None:
    app.handler("t")(lambda: None)
    async with running(app, settings=QUIET) as worker:
        await app.produce("t")
        owner = cluster.owner("jobs")
        await eventually(lambda: worker.name in owner.ask("CLIENT", "LIST"))
        others = [node for node in cluster.nodes if node is not owner]
        assert not any(worker.name in node.ask("CLIENT", "LIST") for node in others)


# -- TLS ----------------------------------------------------------------------


async def test_tls_to_every_node(tmp_path: Path) -> None:
    server = ClusterNode(next(iter(binaries().values())))
    server.start()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    try:
        with TlsFront(server, context) as front:
            server.ask("CONFIG", "SET", "cluster-announce-port", front.port)
            server.ask("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS - 1)
            await eventually(lambda: "cluster_state:ok" in str(server.ask("CLUSTER", "INFO")))
            url = f"rediss+cluster://{front.where}"
            async with App(f"{url}?ssl_ca_certs={tmp_path / 'ca.pem'}") as app:
                app.handler("t")(lambda: None)
                await app.produce_many([("t", {})] * 20)
                assert len((await drain(app)).outcomes) == 20
            async with App(url) as app:
                with pytest.raises(TLSFailed, match="is not trusted"):
                    await app.produce("t")
    finally:
        server.stop()
