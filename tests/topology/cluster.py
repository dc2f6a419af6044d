"""A real Cluster on loopback: three primaries, each with a replica."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import redis
from redis.exceptions import RedisError

from streamq.wire.slots import SLOTS, slot_of
from tests.servers import RedisServer, free_port

PATIENCE = 60.0
NODE_TIMEOUT = 1000
"""Milliseconds without a word after which the other nodes hold one for dead."""

OPTIONS = (
    "--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT),
    "--repl-diskless-sync-delay", "0", "--cluster-replica-validity-factor", "0",
    "--repl-ping-replica-period", "1",
)  # fmt: skip


class ClusterNode(RedisServer):
    """One node."""

    def __init__(self, binary: str) -> None:
        super().__init__(binary)
        self.options = [*OPTIONS, "--cluster-port", str(free_port())]

    def wait(self) -> None:
        """Wait until it answers; on other ports, if these were taken meanwhile."""
        try:
            super().wait()
        except RuntimeError:
            if "already in use" not in self.log():
                raise
            (self.directory / "log").unlink()
            self.port, self.options[-1] = free_port(), str(free_port())
            self.start()

    @property
    def bus(self) -> str:
        """The port on which nodes speak to each other."""
        return self.options[-1]

    def ask(self, *words: object) -> Any:
        """The reply to a command."""
        with self.client() as client:
            return client.execute_command(*words)

    @property
    def id(self) -> str:
        """The name by which the others know it."""
        return str(self.ask("CLUSTER", "MYID"))


class ClusterServers:
    """Six nodes: each third of the slots has a primary and a replica.

    Args:
        binary: what to run.
        replicas: for each primary.
    """

    def __init__(self, binary: str, replicas: int = 1) -> None:
        self.primaries = [ClusterNode(binary) for _ in range(3)]
        self.replicas = [ClusterNode(binary) for _ in range(3 * replicas)]

    @property
    def nodes(self) -> list[ClusterNode]:
        """All of them."""
        return self.primaries + self.replicas

    @property
    def running(self) -> list[ClusterNode]:
        """Those that run."""
        return [node for node in self.nodes if node.process and node.process.poll() is None]

    @property
    def url(self) -> str:
        """Its URL, by its first two nodes."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.primaries[:2])
        return f"redis+cluster://{hosts}"

    def start(self) -> ClusterServers:
        """Start the nodes, and make them one Cluster."""
        for node in self.nodes:
            node.start(wait=False)
        for node in self.nodes:
            node.wait()
        first, *others = self.nodes
        for number, node in enumerate(self.primaries):
            low, high = SLOTS * number // 3, SLOTS * (number + 1) // 3 - 1
            node.ask("CLUSTER", "ADDSLOTSRANGE", low, high)
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in others:
            node.ask("CLUSTER", "MEET", "127.0.0.1", first.port, first.bus)
        count = len(self.nodes)
        wait(lambda: all(node.ask("CLUSTER", "NODES").count("connected") == count
                         for node in self.nodes), "all nodes to know each other")  # fmt: skip
        for number, node in enumerate(self.replicas):
            node.ask("CLUSTER", "REPLICATE", self.primaries[number % 3].id)
        self.settled()
        return self

    def settled(self) -> None:
        """Wait until all agree that all is well."""
        wait(lambda: all(map(_is_well, self.running)), "the Cluster to be well")

    def owner(self, key: str) -> ClusterNode:
        """The node that has a key's slot."""
        return next(self._owners(key))

    def _owners(self, key: str) -> Iterator[ClusterNode]:
        """The node that has a key's slot, as each node says."""
        slot = slot_of(key.encode())
        for node in self.running:
            for first, last, owner, *_ in node.ask("CLUSTER", "SLOTS"):
                if first <= slot <= last:
                    yield next(node for node in self.nodes if node.port == owner[1])

    def replica_of(self, primary: ClusterNode) -> ClusterNode:
        """A replica of a primary."""
        for node in self.running:
            role = node.ask("ROLE")
            if role[0] == "slave" and role[2] == primary.port:
                return node
        raise AssertionError("it has no replica")

    def fail_over(self, key: str) -> None:
        """Let a replica take over the slots of a key's node, as before work on a machine."""
        replica = self.replica_of(self.owner(key))
        asked = 0.0

        def took_over() -> bool:
            nonlocal asked
            if time.monotonic() - asked > 2:  # the others may refuse: they have just voted
                asked = time.monotonic()
                with suppress(RedisError):
                    replica.ask("CLUSTER", "FAILOVER")
            return self.owner(key) is replica

        wait(took_over, "the replica to take over")
        self.settled()

    def client(self) -> redis.RedisCluster:
        """A plain client of redis-py's, to look at what is really there."""
        return redis.RedisCluster(
            host="127.0.0.1", port=self.running[0].port, decode_responses=True
        )

    def stop(self) -> None:
        """Stop them all."""
        for node in self.nodes:
            node.stop()

    # -- moving a slot --------------------------------------------------------

    @contextmanager
    def moving(self, key: str, target: ClusterNode) -> Iterator[Callable[[], None]]:
        """Move the slot of a key; what is yielded moves the keys that are there now."""
        source, slot = self.owner(key), slot_of(key.encode())
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)

        def migrate() -> None:
            while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100):
                source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)

        try:
            yield migrate
        finally:
            migrate()
            for node in (target, source):
                node.ask("CLUSTER", "SETSLOT", slot, "NODE", target.id)
            wait(lambda: all(one is target for one in self._owners(key)), "all to know of it")

    def move_at_once(self, key: str, target: ClusterNode) -> bool:
        """Let the nodes move a slot by themselves; whether they can."""
        source, slot = self.owner(key), slot_of(key.encode())
        try:
            source.ask("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", target.id)
        except RedisError as error:
            if "unknown subcommand" in str(error).lower():
                return False
            raise
        wait(lambda: all(one is target for one in self._owners(key)), "the slot to have moved")
        return True


def _is_well(node: ClusterNode) -> bool:
    if "cluster_state:ok" not in node.ask("CLUSTER", "INFO"):
        return False
    if node.ask("ROLE")[0] == "slave" and "master_link_status:up" not in _replication(node):
        return False
    return sum(len(row) - 2 for row in node.ask("CLUSTER", "SLOTS")) >= 3


def _replication(node: ClusterNode) -> str:
    with node.client() as client:
        info: dict[str, Any] = client.info("replication")
    return " ".join(f"{name}:{value}" for name, value in info.items())


def wait(condition: Callable[[], object], what: str) -> None:
    """Wait for something that only a server knows, by asking it."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.05)
