"""The supervisor, with real processes that tell what happens to them."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from streamq.process import supervisor as supervisor_module
from streamq.process.supervisor import Equipment, Supervisor

pytestmark = pytest.mark.anyio

PATIENCE = 30.0
"""Seconds after which a word that does not come fails the test."""

# A process that runs until it is told to stop, and tells by whom.
PROCESS = """
import os, signal, sys, anyio
from streamq.process.child import LIFELINE, stop_with_supervisor
from streamq.worker.shutdown import stop_on_signals

pen, how = os.open(sys.argv[1], os.O_WRONLY), sys.argv[2]

def tell(what):
    os.write(pen, f"{os.environ['NUMBER']} {what}\\n".encode())

async def main():
    stopped = anyio.Event()

    def stop(by):
        tell(by)
        stopped.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop_on_signals, lambda: stop("signal"), lambda: tell("leaves"))
        tasks.start_soon(stop_with_supervisor, int(os.environ[LIFELINE]), lambda: stop("lifeline"))
        await anyio.sleep(0)
        if how == "deaf":
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: tell("hears nothing"))
        tell(f"runs {os.getpid()}")
        await stopped.wait()
        if how in ("busy", "deaf"):
            await anyio.sleep_forever()
        tasks.cancel_scope.cancel()
    tell("ends")

anyio.run(main)
if how == "exit" and os.environ["NUMBER"] == "1":
    sys.exit(int(sys.argv[3]))
"""

# A supervisor in a process of its own.
SUPERVISOR = """
import asyncio, sys
from tests.process.test_supervisor import supervise

print(asyncio.run(supervise(sys.argv[1], sys.argv[2]).run()))
"""


def supervise(fifo: Path | str, how: str = "", *args: str, **options: Any) -> Supervisor:
    """Two processes."""
    return Supervisor(
        [sys.executable, "-c", PROCESS, str(fifo), how, *args],
        2,
        **{"equip": lambda number: Equipment({"NUMBER": str(number)}), **options},
    )


class Ear:
    """Hears what the processes tell."""

    def __init__(self, fifo: Path) -> None:
        os.mkfifo(fifo)
        self.fifo = fifo
        # Opened for both, so that the last writer's leaving is not the end.
        self._file = os.fdopen(os.open(fifo, os.O_RDWR), "r+b", buffering=0)
        self._reader = asyncio.StreamReader()
        self._transport: asyncio.ReadTransport | None = None
        self.heard: list[str] = []

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(self._reader), self._file
        )

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()

    async def next(self, *words: str) -> list[str]:
        """Wait until something was told for each of ``words``, in any order; return the lines.

        A line belongs to a word that it begins with.
        """
        found = []
        missing = list(words)
        while missing:
            try:
                async with asyncio.timeout(PATIENCE):
                    line = (await self._reader.readline()).decode().strip()
            except TimeoutError:
                raise AssertionError(f"waited in vain for {missing}: {self.heard}") from None
            self.heard.append(line)
            for word in missing:
                if line.startswith(word):
                    missing.remove(word)
                    found.append(line)
                    break
        return found

    async def pids(self, *numbers: int) -> dict[int, int]:
        """Wait until these processes run; return their IDs."""
        lines = await self.next(*(f"{number} runs" for number in numbers))
        return {int(line.split()[0]): int(line.split()[2]) for line in lines}


@pytest.fixture
async def ear(tmp_path: Path) -> AsyncIterator[Ear]:
    ear = Ear(tmp_path / "fifo")
    await ear.open()
    yield ear
    ear.close()


@asynccontextmanager
async def running(supervisor: Supervisor) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """Run it; what it yields waits for the end. Nothing is left behind if the test fails."""
    task = asyncio.create_task(supervisor.run())

    async def end() -> int:
        async with asyncio.timeout(PATIENCE):
            return await task

    try:
        yield end
    finally:
        for pid in supervisor.pids.values():
            os.kill(pid, signal.SIGKILL)
        task.cancel()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """No pauses before a restart; returns the crashes that each pause would have been for."""
    asked: list[int] = []

    class AtOnce:
        def delay(self, attempt: int) -> float:
            asked.append(attempt)
            return 0.0

    monkeypatch.setattr(supervisor_module, "BACKOFF", AtOnce())
    return asked


def press(number: signal.Signals) -> None:
    """Send a signal to the supervisor, which is in this process."""
    os.kill(os.getpid(), number)


# -- crashes --------------------------------------------------------------------


async def test_a_killed_process_is_started_again(
    ear: Ear, at_once: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    async with running(supervise(ear.fifo)) as end:
        before = await ear.pids(1, 2)
        os.kill(before[2], signal.SIGKILL)
        after = await ear.pids(2)
        press(signal.SIGTERM)

        assert await end() == 0

    assert after[2] not in before.values()
    assert sum(line.startswith("1 runs") for line in ear.heard) == 1
    errors = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert errors == ["Worker process 2 was killed by SIGKILL; starting it again in 0.0 s"]


async def test_pauses_grow_while_it_keeps_crashing(ear: Ear, at_once: list[int]) -> None:
    async with running(supervise(ear.fifo)) as end:
        pid = (await ear.pids(1, 2))[1]
        for _ in range(3):
            os.kill(pid, signal.SIGKILL)
            pid = (await ear.pids(1))[1]
        press(signal.SIGTERM)
        assert await end() == 0

    assert at_once == [1, 2, 3]


async def test_a_crash_after_a_good_start_counts_as_the_first(
    ear: Ear, at_once: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "STEADY", 0.0)
    async with running(supervise(ear.fifo)) as end:
        pid = (await ear.pids(1, 2))[1]
        for _ in range(2):
            os.kill(pid, signal.SIGKILL)
            pid = (await ear.pids(1))[1]
        press(signal.SIGTERM)
        assert await end() == 0

    assert at_once == [1, 1]


async def test_an_exit_code_that_is_not_final_is_a_crash(ear: Ear, at_once: list[int]) -> None:
    async with running(supervise(ear.fifo, final=frozenset())) as end:
        pid = (await ear.pids(1, 2))[1]
        os.kill(pid, signal.SIGTERM)  # somebody stops this one: 0
        await ear.pids(1)
        press(signal.SIGTERM)
        assert await end() == 0

    assert at_once == [1]


async def test_a_process_that_cannot_be_started_is_tried_again(
    ear: Ear, at_once: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    failures = iter([OSError(11, "Resource temporarily unavailable")])

    def equip(number: int) -> Equipment:
        for error in failures:
            raise error
        return Equipment({"NUMBER": str(number)})

    async with running(supervise(ear.fifo, equip=equip)) as end:
        await ear.pids(1, 2)
        press(signal.SIGTERM)
        assert await end() == 0

    assert "Worker process 1 cannot be started: [Errno 11] Resource" in caplog.text
    assert at_once == [1]


def test_pauses_never_come_near_zero_and_reach_half_a_minute() -> None:
    pauses = supervisor_module.EqualJitter(base=0.5, factor=2, cap=30.0)
    assert pauses == supervisor_module.BACKOFF
    assert [pauses.delay(n, lambda: 0.0) for n in (1, 2, 3, 10)] == [0.25, 0.5, 1.0, 15.0]
    assert [pauses.delay(n, lambda: 1.0) for n in (1, 2, 3, 10)] == [0.5, 1.0, 2.0, 30.0]


# -- the end --------------------------------------------------------------------


async def test_a_final_exit_code_stops_the_others(ear: Ear) -> None:
    async with running(supervise(ear.fifo, "exit", "2", final=frozenset({0, 2}))) as end:
        pids = await ear.pids(1, 2)
        os.kill(pids[1], signal.SIGTERM)
        await ear.next("2 ends")
        assert await end() == 2

    assert ear.heard[2:] == ["1 signal", "1 ends", "2 lifeline", "2 ends"]


async def test_a_process_that_is_done_is_not_started_again(ear: Ear) -> None:
    async with running(supervise(ear.fifo)) as end:
        pids = await ear.pids(1, 2)
        os.kill(pids[1], signal.SIGTERM)
        await ear.next("1 ends")
        os.kill(pids[2], signal.SIGTERM)
        await ear.next("2 ends")
        assert await end() == 0

    assert ear.heard[2:] == ["1 signal", "1 ends", "2 signal", "2 ends"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_first_signal_stops_all_in_good_order(ear: Ear, number: signal.Signals) -> None:
    async with running(supervise(ear.fifo)) as end:
        await ear.pids(1, 2)
        press(number)
        await ear.next("1 ends", "2 ends")
        assert await end() == 0

    assert sorted(ear.heard[2:]) == ["1 ends", "1 lifeline", "2 ends", "2 lifeline"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_at_the_second_signal_all_leave_at_once(ear: Ear, number: signal.Signals) -> None:
    async with running(supervise(ear.fifo, "busy")) as end:
        await ear.pids(1, 2)
        press(number)
        await ear.next("1 lifeline", "2 lifeline")
        press(number)
        await ear.next("1 leaves", "2 leaves")
        assert await end() == 128 + number


async def test_a_third_signal_kills_those_that_do_not_leave(ear: Ear) -> None:
    async with running(supervise(ear.fifo, "deaf")) as end:
        await ear.pids(1, 2)
        press(signal.SIGTERM)
        await ear.next("1 lifeline", "2 lifeline")
        press(signal.SIGTERM)
        await ear.next("1 hears nothing", "2 hears nothing")
        press(signal.SIGINT)
        assert await end() == 128 + signal.SIGINT


async def test_a_manager_that_signals_every_process_does_no_harm(ear: Ear) -> None:
    # As systemd does: one stop, and each process hears of it twice.
    async with running(supervise(ear.fifo)) as end:
        pids = await ear.pids(1, 2)
        for pid in pids.values():
            os.kill(pid, signal.SIGTERM)
        press(signal.SIGTERM)
        await ear.next("1 ends", "2 ends")
        assert await end() == 0

    assert not any("leaves" in line for line in ear.heard)


async def test_a_signal_ends_the_pause_before_a_restart(
    ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    pausing = asyncio.Event()

    class AnHour:
        def delay(self, attempt: int) -> float:
            pausing.set()
            return 3600.0

    monkeypatch.setattr(supervisor_module, "BACKOFF", AnHour())
    async with running(supervise(ear.fifo)) as end:
        pids = await ear.pids(1, 2)
        os.kill(pids[1], signal.SIGKILL)
        async with asyncio.timeout(PATIENCE):
            await pausing.wait()
        press(signal.SIGTERM)
        assert await end() == 0


async def test_a_crash_while_stopping_is_told_by_the_exit_code(ear: Ear) -> None:
    async with running(supervise(ear.fifo, "busy")) as end:
        pids = await ear.pids(1, 2)
        press(signal.SIGTERM)
        await ear.next("1 lifeline", "2 lifeline")
        for pid in pids.values():
            os.kill(pid, signal.SIGKILL)
        assert await end() == 128 + signal.SIGKILL


# -- a supervisor in a process of its own ---------------------------------------


@pytest.fixture
def apart(ear: Ear) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(ear.fifo), ""],
        stdout=subprocess.PIPE, start_new_session=True,
    ) as process:  # fmt: skip
        yield process
        process.kill()


async def test_processes_end_in_good_order_when_the_supervisor_is_killed(
    ear: Ear, apart: subprocess.Popen[bytes]
) -> None:
    await ear.pids(1, 2)
    apart.kill()
    await ear.next("1 ends", "2 ends")

    assert sorted(ear.heard[2:]) == ["1 ends", "1 lifeline", "2 ends", "2 lifeline"]


async def test_ctrl_c_reaches_the_processes_through_the_supervisor_alone(
    ear: Ear, apart: subprocess.Popen[bytes]
) -> None:
    await ear.pids(1, 2)
    os.killpg(apart.pid, signal.SIGINT)  # as the terminal does
    await ear.next("1 ends", "2 ends")

    assert sorted(ear.heard[2:]) == ["1 ends", "1 lifeline", "2 ends", "2 lifeline"]
    assert apart.communicate(timeout=PATIENCE)[0] == b"0\n"
