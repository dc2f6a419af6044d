"""How much memory the embedded server may use, and what happens at that limit."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from streamq.errors import ConfigError
from streamq.server import embedded
from streamq.server.embedded.memory import chosen_limit, default_limit
from tests.cli.support import run_here
from tests.embedded.support import call

MIB = 1024**2


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("", None), ("0", 0), ("8388608", 8 * MIB), ("8388608b", 8 * MIB), ("512mb", 512 * MIB),
        (" 2GB ", 2 * 1024 * MIB), ("5m", 5_000_000), ("5000k", 5_000_000), ("1g", 10**9),
        ("4096kb", 4 * MIB),
    ],
)  # fmt: skip
def test_a_limit_of_ones_own(
    text: str, limit: int | None, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMQ_MAXMEMORY", text)
    assert chosen_limit() == limit


@pytest.mark.parametrize("text", ["lots", "-1", "1.5gb", "12tb", "0x10", "3mb", "mb", "\x1b"])
def test_what_is_not_a_limit(
    text: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STREAMQ_MAXMEMORY", text)
    with pytest.raises(ConfigError, match=r"STREAMQ_MAXMEMORY is '.*': give .* 512mb or 2gb"):
        embedded.ensure_running()
    result = run_here(["server", "start"], capsys)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("streamq: STREAMQ_MAXMEMORY is ")
    assert not home.exists()


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/a/b", {"a/memory.max": 300, "a/b/memory.max": "max"}, 150),
        ("0::/a/b", {"a/memory.max": 300, "a/b/memory.max": 200}, 100),
        ("0::/not/here", {"memory.max": 400}, 200),
        ("4:memory:/a\n0::/", {"memory/a/memory.limit_in_bytes": 500}, 250),
        ("4:cpu,memory:/gone", {"memory/memory.limit_in_bytes": 600}, 300),
        ("0::/a", {"a/memory.max": 10}, 64),
    ],
)
def test_a_container_has_less_than_the_machine(
    groups: str, files: dict[str, int | str], expected: int, tmp_path: Path
) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(groups + "\n")
    for name, limit in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{limit * MIB if isinstance(limit, int) else limit}\n")
    assert default_limit(tmp_path) == expected * MIB


def test_a_machine_without_control_groups(tmp_path: Path) -> None:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert default_limit(tmp_path) == max(memory // 2, 64 * MIB)


def test_a_full_server_refuses_jobs_until_some_are_consumed(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setenv("STREAMQ_MAXMEMORY", "8mb")
    lines = tmp_path / "lines"
    lines.write_text((json.dumps({"text": "x" * 10_000}) + "\n") * 2000)
    assert run_here(["group", "create", "g"], capsys).code == 0

    code, _, err = run_here(["produce", "--file", str(lines), "-q"], capsys)
    assert code == 1
    last = err.splitlines()[-1]
    assert f"the embedded server at {home}/server.sock has reached its maxmemory" in last
    assert "its limit is 8.0 MiB; let a worker consume jobs" in last
    assert "start it with a larger STREAMQ_MAXMEMORY" in last
    status = run_here(["server", "status"], capsys).out
    assert " of 8.0 MiB\n" in status
    assert embedded.status().maxmemory == 8 * MIB

    consumed = run_here(["consume", "--group", "g", "--max-jobs", "300"], capsys)
    assert consumed.code == 0, consumed.err
    assert run_here(["produce", "a=1", "-q"], capsys).code == 0


def test_the_limit_can_be_changed_while_it_runs(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(embedded.ensure_running(), "CONFIG", "SET", "maxmemory", "123mb")
    found = json.loads(run_here(["server", "status", "--json"], capsys).out)
    assert found["maxmemory"] == 123 * MIB
