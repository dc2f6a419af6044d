"""A primary, its replicas, and three Sentinels that watch over them, on loopback."""

from __future__ import annotations

import signal
import subprocess
from typing import Any

from redis.exceptions import RedisError

from tests.servers import RedisServer
from tests.topology.cluster import wait

NAME = "mymaster"

DOWN_AFTER = 700
"""Milliseconds of silence after which a Sentinel holds a server for dead."""

REPLICATION = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")


class Sentinel(RedisServer):
    """One Sentinel."""

    def __init__(self, binary: str, primary: RedisServer, quorum: int, *options: str) -> None:
        super().__init__(binary)
        self._file = self.directory / "sentinel.conf"
        lines = [
            f"port {self.port}", "bind 127.0.0.1", f"dir {self.directory}",
            f"unixsocket {self.socket}", f"logfile {self.directory / 'log'}",
            "sentinel resolve-hostnames yes",
            f"sentinel monitor {NAME} 127.0.0.1 {primary.port} {quorum}",
            f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER}",
            f"sentinel failover-timeout {NAME} 5000",
            *options,
        ]  # fmt: skip
        self._file.write_text("\n".join(lines) + "\n")

    def start(self, *, wait: bool = True) -> Sentinel:
        """Start it, and wait until it answers."""
        self.process = subprocess.Popen(
            [self.binary, str(self._file), "--sentinel"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        if wait:
            self.wait()
        return self


class SentinelServers:
    """A primary, two replicas, three Sentinels.

    Args:
        binary: what to run.
        options: of the servers.
        sentinel_options: lines in the configuration of the Sentinels.
    """

    def __init__(self, binary: str, *options: str, sentinel_options: tuple[str, ...] = ()) -> None:
        self.servers = [RedisServer(binary, [*REPLICATION, *options]) for _ in range(3)]
        for server in self.servers[1:]:
            server.options += ["--replicaof", f"127.0.0.1 {self.servers[0].port}"]
        self.sentinels = [Sentinel(binary, self.servers[0], 2, *sentinel_options) for _ in range(3)]

    @property
    def hosts(self) -> str:
        """The addresses of the Sentinels, as in a URL."""
        return ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)

    @property
    def url(self) -> str:
        """The URL of the primary, by its Sentinels."""
        return f"redis+sentinel://{self.hosts}/{NAME}"

    def start(self) -> SentinelServers:
        """Start them, and wait until the Sentinels know all of them."""
        for some in (self.servers, self.sentinels):
            for server in some:
                server.start(wait=False)
            for server in some:
                server.wait()
            # Sentinels ask who the replicas are at once, and then only every ten seconds.
            wait(self._has_replicas, "the replicas")
        self.settled()
        return self

    def settled(self) -> None:
        """Wait until all agree that all is well."""
        wait(lambda: all(map(self._is_well, self.sentinels)), "the Sentinels to agree")
        wait(self._in_step, "the replicas to be in step")

    def _has_replicas(self) -> bool:
        return bool(_replication(self.servers[0])["connected_slaves"] == 2)

    def _is_well(self, sentinel: Sentinel) -> bool:
        [flags, replicas, sentinels] = _about(
            sentinel, "flags", "num-slaves", "num-other-sentinels"
        )
        return flags == "master" and replicas == "2" and sentinels == "2"

    def _in_step(self) -> bool:
        replicas = [server for server in self.running if server is not self.primary]
        return all(_replication(server).get("master_link_status") == "up" for server in replicas)

    @property
    def running(self) -> list[RedisServer]:
        """The servers that run."""
        return [one for one in self.servers if one.process and one.process.poll() is None]

    @property
    def running_sentinels(self) -> list[Sentinel]:
        """The Sentinels that run."""
        return [one for one in self.sentinels if one.process and one.process.poll() is None]

    @property
    def primary(self) -> RedisServer:
        """The primary of the moment, as a Sentinel has it."""
        with self.running_sentinels[-1].client() as client:
            _, port = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)
        return next(server for server in self.servers if server.port == int(port))

    def took_over(self, before: RedisServer) -> RedisServer:
        """Wait until another server is the primary, and takes writes."""

        def is_primary() -> bool:
            now = self.primary
            if now is before:
                return False
            with now.client() as client:
                return bool(client.execute_command("ROLE")[0] == "master")

        wait(is_primary, "another primary")
        return self.primary

    def fail_over(self) -> RedisServer:
        """Let the Sentinels make another server the primary, as before work on a machine."""
        before = self.primary

        def accepted() -> bool:
            with self.sentinels[0].client() as client:
                try:
                    client.execute_command("SENTINEL", "FAILOVER", NAME)
                except RedisError:
                    return False
            return True

        wait(accepted, "the Sentinel to agree")
        return self.took_over(before)

    def took_over_after_kill(self) -> RedisServer:
        """Kill the primary, and wait until another is."""
        before = self.primary
        before.kill()
        return self.took_over(before)

    def restore(self) -> None:
        """Bring everybody back, without any data and any users."""
        for server in (*self.servers, *self.sentinels):
            if server.process and server.process.poll() is not None:
                if server in self.servers:
                    server.options = [*REPLICATION, "--replicaof", f"127.0.0.1 {self.primary.port}"]
                server.start()
            server.signal(signal.SIGCONT)
        primary = self.primary
        for server in self.servers:
            with server.client() as client:  # which Sentinels would do, in ten seconds
                if (client.execute_command("ROLE")[0] == "master") != (server is primary):
                    place = ("NO", "ONE") if server is primary else ("127.0.0.1", primary.port)
                    client.replicaof(*map(str, place))
        self.settled()
        with self.primary.client() as client:
            client.flushall()
        for server in (*self.servers, *self.sentinels):
            with server.client() as client:
                client.execute_command("ACL", "DELUSER", "u", "s")

    def stop(self) -> None:
        """Stop them all."""
        for server in (*self.sentinels, *self.servers):
            if server.process is not None:
                server.signal(signal.SIGCONT)
            server.stop()


def _replication(server: RedisServer) -> dict[str, Any]:
    with server.client() as client:
        info: dict[str, Any] = client.info("replication")
    return info


def _about(sentinel: Sentinel, *fields: str) -> list[str]:
    with sentinel.client() as client:
        flat = client.execute_command("SENTINEL", "MASTER", NAME)
    found = flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))
    return [str(found.get(field)) for field in fields]
