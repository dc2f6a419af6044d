"""The rig: a server, a proxy in front of it, worker processes, and a recorder."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from redis.backoff import NoBackoff
from redis.retry import Retry

import streamq
from streamq import App, NewJob
from streamq.lua import load
from tests.faults.checker import Report, check, collect
from tests.faults.nursery import nursery
from tests.faults.proxy import Proxy
from tests.faults.recorder import PATIENCE, Recorder
from tests.faults.workload import Config
from tests.servers import RedisServer

STREAMQ = str(Path(streamq.__file__).parent)
"""What stands in a traceback of streamq's own; those of handlers belong into the log."""


class WorkerProcess:
    """One worker, a process of its own."""

    def __init__(self, config: Config, log: Path, lost: Callable[[int], None]) -> None:
        self.config = config
        self._lost = lost
        self.log = log
        log.touch()
        self.pid = nursery().start(config.dump(), log)

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return nursery().code(self.pid, 0) is None

    @property
    def cpu_seconds(self) -> float:
        """The processor time that it has taken; 0 where the system does not tell."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        self.signal(signal.SIGKILL)
        self.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)
            if number in (signal.SIGKILL, signal.SIGSTOP):
                self._lost(self.pid)

    def wait(self, seconds: float = PATIENCE) -> int:
        """Wait until it ends, and return its exit code, or minus the signal that ended it."""
        code = nursery().code(self.pid, seconds)
        if code is None:
            raise AssertionError(f"the worker did not end: {self.said()}")
        return code

    def finish(self) -> None:
        """Wait for the end of a burst, which must be a good one."""
        assert self.wait() == 0, self.said()

    def terminate(self) -> None:
        """SIGTERM, and wait for an end in good order."""
        self.signal(signal.SIGTERM)
        self.finish()

    def said(self) -> str:
        """The last it has logged."""
        return self.log.read_text(errors="replace")[-3000:]


class Gate:
    """Handlers that are told to ``wait`` do so until the gate is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen(4096)

    def open(self) -> None:
        """Let everybody through, now and later."""
        self._socket.close()
        self.path.unlink(missing_ok=True)


class Rig:
    """A server of its own for each test, and all that goes with it.

    Args:
        url: for the workers, where that is not the server's own.
        client: to look at what is really there, where that is not on the one server.
    """

    def __init__(self, server: RedisServer, url: str = "", client: Any = None) -> None:
        self.server = server
        self.directory = Path(tempfile.mkdtemp(prefix="rig-"))
        self.recorder = Recorder(self.directory / "events")
        self.gate = Gate(self.directory / "gate")
        # Told of every error, but for a connection that broke while it lay unused. The
        # types of redis-py leave open what each reply is.
        self.client: Any = client or server.client(
            retry=Retry(NoBackoff(), 1), encoding_errors="backslashreplace"
        )
        self.produced: list[str] = []
        self.workers: list[WorkerProcess] = []
        self._proxy: Proxy | None = None
        self.recorder.context = self.said
        self.config = Config(
            url=url or server.unix_url, fifo=str(self.recorder.path), gate=str(self.gate.path)
        )

    @property
    def proxy(self) -> Proxy:
        """The proxy in front of the server, started at its first use."""
        if self._proxy is None:
            self._proxy = Proxy(self.server.port).start()
        return self._proxy

    def worker(self, **options: Any) -> WorkerProcess:
        """Start a worker; ``options`` are fields of :class:`Config`."""
        log = self.directory / f"worker-{len(self.workers)}.log"
        self.workers.append(
            WorkerProcess(replace(self.config, **options), log, self.recorder.note_lost)
        )
        return self.workers[-1]

    def produce(self, count: int, type: str = "work", /, **data: Any) -> list[str]:
        """Produce jobs numbered from 0, and return their IDs."""

        return self.produce_jobs(NewJob(type, {"n": n, **data}) for n in range(count))

    def produce_jobs(self, jobs: Iterable[NewJob]) -> list[str]:
        """Produce what each is, and return their IDs."""

        async def send() -> list[str]:
            async with App(self.config.url, stream=self.config.stream) as app:
                return [job.id for job in await app.produce_many(jobs)]

        ids = asyncio.run(send())
        self.produced += ids
        return ids

    def pending(self, group: str = "alpha") -> list[dict[str, Any]]:
        """The first pending entries of a group."""
        rows: list[dict[str, Any]] = self.client.xpending_range("jobs", group, "-", "+", 100)
        return rows

    def swallow(self, script: str) -> None:
        """Let the proxy drop the reply to the next call of a script that does its work."""
        loaded = load(script)
        self.client.script_load(loaded.source)
        self.proxy.swallow(loaded.sha.encode())

    def drain(self, **options: Any) -> None:
        """Let a new worker do whatever is left to do."""
        self.worker(burst=True, **options).finish()

    def check(self, **options: Any) -> Report:
        """Prove the promises for all that was produced."""
        evidence = collect(
            self.client, self.recorder, self.produced, self.config.groups, self.config.stream
        )
        return check(evidence, **options)

    def wait(self, condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
        """Wait for something that only the server knows, by asking it."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"waited in vain for {what}: {self.recorder.summary()}")
            time.sleep(0.01)

    def said(self) -> str:
        """The last that each worker has logged."""
        return "".join(f"\n--- {worker.log.name}\n{worker.said()}" for worker in self.workers)

    def close(self, *, keep_logs: bool = False) -> None:
        """End all that was started."""
        for worker in self.workers:
            if worker.alive:
                worker.kill()
        self.gate.open()
        if self._proxy is not None:
            self._proxy.stop()
        self.recorder.close()
        self.client.close()
        if not keep_logs:
            shutil.rmtree(self.directory, ignore_errors=True)
