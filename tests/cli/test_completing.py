"""What the shell proposes at TAB: what streamq answers it, and bash with its script."""

from __future__ import annotations

import os
import pty
import shlex
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
import pytest
import redis

from streamq.cli.completing import SHELLS
from tests.cli.support import PATIENCE
from tests.servers import RedisServer, free_port
from tests.situations import add, fail, make_idle, read

# A person waits 0.3 s for the server; on a busy machine the tests can wait longer.
PROGRAM = (
    "from streamq.cli import completing, main; completing.PATIENCE = 30; import sys; "
    "main(sys.argv[1:])"
)

Complete = Callable[..., list[str]]


def ask(line: str, shell: str = "zsh", **environment: str) -> list[str]:
    """The values that are proposed for a line with the cursor at its end."""
    *words, typed = line.split(" ")
    where = {"COMP_WORDS": line, "COMP_CWORD": typed if shell == "fish" else str(len(words))}
    if shell == "bash":
        where = {"COMP_LINE": line, "COMP_WORD": typed}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "_STREAMQ_COMPLETE": f"{shell}_complete", **where, **environment},
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    shown = ran.stdout.splitlines()
    if shell == "zsh":  # three lines each: type, value, help
        return [value.replace("\\:", ":") for value in shown[1::3]]
    return [line.partition(",")[2].partition("\t")[0] for line in shown if line]


@pytest.fixture
def complete(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Complete:
    monkeypatch.setenv("STREAMQ_URL", server.unix_url)
    return ask


@pytest.fixture
def four(server: RedisServer, client: redis.Redis) -> list[str]:
    """Four jobs: dead, running, stalled, queued."""
    ids = [add(client, {"type": "resize", "data": "{}"}) for _ in range(4)]
    anyio.run(partial(fail, server.unix_url, retries=0))
    read(client, "web-1")
    read(client, "web-2")
    make_idle(client, ids[2], 300)
    return ids


def test_commands_and_options() -> None:
    assert ask("streamq p") == ["produce", "pending"]
    assert ask("streamq pending re") == ["retry", "release"]
    assert ask("streamq produce --re") == ["--replicas", "--replica-timeout"]


@pytest.mark.parametrize("shell", SHELLS)
def test_what_the_server_knows(complete: Complete, four: list[str], shell: str) -> None:
    dead, running, stalled, _ = four
    asked = partial(complete, shell=shell)
    assert asked("streamq pending --group ") == ["images"]
    assert asked("streamq consume --group im") == ["images"]
    assert asked("streamq produce --stream jo") == ["jobs"]
    assert asked("streamq pending release --consumer web") == ["web-1", "web-2"]
    assert asked("streamq pending retry ") == [stalled]
    assert asked("streamq pending dead-letter ") == [running, stalled]
    assert asked("streamq dlq redrive ") == [dead]
    assert sorted(asked("streamq status ")) == [dead, running, stalled]
    assert asked("streamq status --group other ") == []
    assert asked("streamq pending --group x") == []


def test_the_names_of_jobs_for_later(
    complete: Complete, server: RedisServer, client: redis.Redis
) -> None:
    client.zadd("{jobs}:scheduled", {"s-1": 1, "s-2": 2})
    client.xgroup_create("jobs", "images", mkstream=True)
    for command in ("show", "cancel", "run-now", "reschedule"):
        assert complete(f"streamq scheduled {command} ") == ["s-1", "s-2"]
    assert complete("streamq scheduled cancel s-1 ") == ["s-2"]
    assert complete("streamq status s") == ["s-1", "s-2"]
    assert complete("streamq status --group images s") == []
    assert complete("streamq produce --on-conflict ") == ["keep", "replace", "error"]


def test_what_is_given_already_is_left_out(complete: Complete, four: list[str]) -> None:
    _, running, stalled, _ = four
    assert complete(f"streamq pending dead-letter {running} ") == [stalled]


def test_the_stream_and_the_server_are_those_of_the_line(
    server: RedisServer, client: redis.Redis
) -> None:
    client.xgroup_create("mails", "send", mkstream=True)
    url = server.unix_url
    assert ask(f"streamq pending --url {url} --stream mails --group ") == ["send"]
    assert ask(f"streamq group delete --stream=mails --url={url} ") == ["send"]


def test_an_option_with_its_value_in_one_word(complete: Complete, four: list[str]) -> None:
    assert complete("streamq pending --group=im") == ["--group=images"]
    assert complete("streamq consume --log-level=w") == ["--log-level=warning"]


def test_a_name_with_control_characters_is_not_proposed(
    complete: Complete, client: redis.Redis
) -> None:
    client.xgroup_create("jobs", "good", mkstream=True)
    client.xgroup_create("jobs", "b\x1b[31mad", mkstream=True)
    assert complete("streamq pending --group ") == ["good"]


def test_a_server_that_is_down_proposes_nothing(tmp_path: Path) -> None:
    url = f"redis://127.0.0.1:{free_port()}"
    assert ask("streamq pending --group ", STREAMQ_URL=url) == []
    assert ask("streamq pending --gr", STREAMQ_URL=url) == ["--group"]
    assert ask("streamq pending --group ", STREAMQ_URL="nonsense://") == []


def test_the_embedded_server_is_not_started_for_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert ask("streamq pending --group ", STREAMQ_HOME=str(home)) == []
    assert not home.exists()


def test_an_unknown_shell_is_wrong_usage() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "streamq"], env={**os.environ, "_STREAMQ_COMPLETE": "ksh_source"},
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == (
        "streamq: _STREAMQ_COMPLETE=ksh_source: give bash_source, zsh_source or fish_source\n"
    )


# -- bash itself --------------------------------------------------------------


def pressed_tab(line: str, tmp_path: Path) -> str:
    """The line after TAB in an interactive bash, run by its Enter; what it printed.

    The program on the path is a script of the test's: asked for proposals it is streamq, and
    run by Enter it prints its arguments.
    """
    program = tmp_path / "bin/streamq"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        'if [ -n "$_STREAMQ_COMPLETE" ]; then '
        f"exec {sys.executable} -c {shlex.quote(PROGRAM)}; fi\n"
        'printf "ran:%s;" "$@"; echo; exit\n'
    )
    program.chmod(0o755)
    start_up = tmp_path / "bashrc"
    start_up.write_text('PS1="ready> "; eval "$(_STREAMQ_COMPLETE=bash_source streamq)"\n')
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        ["bash", "--noprofile", "--rcfile", str(start_up), "-i"],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**os.environ, "PATH": path, "TERM": "dumb", "COLUMNS": "200"},
    ) as bash:  # fmt: skip
        os.close(theirs)
        os.write(ours, f"{line}\t\nexit\n".encode())
        shown = b""
        try:
            while block := os.read(ours, 65536):
                shown += block
        except OSError:
            pass  # so a terminal ends on Linux
        finally:
            os.close(ours)
        assert bash.wait(PATIENCE) == 0, shown
    return next(text for text in shown.decode().splitlines() if text.startswith("ran:"))


@pytest.mark.parametrize(
    ("line", "ran"),
    [
        ("streamq pending --gr", "ran:pending;ran:--group;"),
        ("streamq pending --group im", "ran:pending;ran:--group;ran:images;"),
        ("streamq pending --group=im", "ran:pending;ran:--group=images;"),
        ("streamq group delete im", "ran:group;ran:delete;ran:images;"),
    ],
)
def test_bash_completes_the_word_at_the_cursor(
    server: RedisServer, client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    line: str, ran: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("STREAMQ_URL", server.unix_url)
    client.xgroup_create("jobs", "images", mkstream=True)
    assert pressed_tab(line, tmp_path) == ran
