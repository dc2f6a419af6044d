"""What the numbers were measured on."""

import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.server import client_cores, server_cores


@dataclass(frozen=True)
class Machine:
    cpu: str
    cores: int
    memory_gib: float
    kernel: str
    python: str
    server: str
    pinning: str
    load_at_start: float
    date: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.cpu}, {self.cores} cores, {self.memory_gib:.0f} GiB, {self.kernel}, "
            f"Python {self.python}, {self.server}, {self.pinning}, "
            f"load at start {self.load_at_start:.1f}, {self.date}"
        )


def this_machine(server: str) -> Machine:
    """`server` is the server's own version text, as in `Valkey 9.1.0`."""
    return Machine(
        cpu=_cpu_model(),
        cores=os.cpu_count() or 1,
        memory_gib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        kernel=f"{platform.system()} {platform.release().partition('-')[0]}",
        python=platform.python_version(),
        server=server,
        pinning=_pinning(),
        load_at_start=os.getloadavg()[0],
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
    )


def _pinning() -> str:
    if not server_cores():
        return "nothing pinned"
    clients = ",".join(map(str, client_cores()))
    return f"server on core {server_cores()[0]}, clients on {clients}"


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
