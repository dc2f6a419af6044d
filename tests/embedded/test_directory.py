"""The directory: where it is, and whose."""

from __future__ import annotations

import contextlib
import os
import pwd
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamq.errors import EmbeddedServerError
from streamq.server import embedded
from tests.embedded.support import (
    as_root,
    mode,
)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"STREAMQ_HOME": "/a/b", "XDG_DATA_HOME": "/x"}, "/a/b"),
        ({"STREAMQ_HOME": "~/b"}, "/home/somebody/b"),
        ({"STREAMQ_HOME": "/a/../b/"}, "/b"),
        ({"STREAMQ_HOME": "", "XDG_DATA_HOME": "/x"}, "/x/streamq"),
    ],
)
def test_home(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str) -> None:
    for name in ("STREAMQ_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/somebody", **environment}.items():
        monkeypatch.setenv(name, value)

    assert embedded.home() == Path(expected)


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        ("linux", "/home/somebody/.local/share/streamq"),
        ("darwin", "/home/somebody/Library/Application Support/streamq"),
    ],
)
def test_home_by_default(monkeypatch: pytest.MonkeyPatch, platform: str, expected: str) -> None:
    monkeypatch.delenv("STREAMQ_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setattr(sys, "platform", platform)

    assert embedded.home() == Path(expected)


def test_home_follows_the_working_directory_when_relative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMQ_HOME", "here")
    monkeypatch.chdir(tmp_path)

    assert embedded.home() == tmp_path / "here"


def test_no_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_uid: int) -> pwd.struct_passwd:
        raise KeyError

    for name in ("STREAMQ_HOME", "XDG_DATA_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)

    with pytest.raises(EmbeddedServerError, match=r"no home directory.*set STREAMQ_HOME"):
        embedded.ensure_running()


def test_an_empty_directory_is_made_private(home: Path) -> None:
    home.mkdir(0o755)
    home.chmod(0o755)
    embedded.ensure_running()

    assert mode(home) == 0o700


def test_a_directory_in_use_and_open_to_others_is_refused_and_left_alone(home: Path) -> None:
    home.mkdir()
    home.chmod(0o750)
    (home / "notes").write_text("mine")

    for asked in (embedded.ensure_running, embedded.status, embedded.stop):
        with pytest.raises(EmbeddedServerError, match=r"mode 750\).*`chmod 700 '.*/q'`"):
            asked()
    assert mode(home) == 0o750


def test_a_directory_of_another_user_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir(0o700)
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)

    with pytest.raises(EmbeddedServerError, match=rf"another user \(uid {mine}, you are"):
        embedded.ensure_running()
    monkeypatch.undo()


@as_root
def test_a_socket_of_another_user_is_refused(home: Path) -> None:
    embedded.ensure_running()
    os.chown(home / "server.sock", 65534, -1)

    with pytest.raises(EmbeddedServerError, match=r"belongs to another user \(uid 65534\)"):
        embedded.ensure_running()


def test_a_file_where_the_directory_should_be(home: Path) -> None:
    home.write_text("")

    with pytest.raises(EmbeddedServerError, match=r"is not a directory: remove it, or set STREA"):
        embedded.ensure_running()


def test_a_file_where_a_parent_should_be(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write_text("")
    monkeypatch.setenv("STREAMQ_HOME", str(home / "q"))

    with pytest.raises(EmbeddedServerError, match=r"create its directory .*: Not a directory; set"):
        embedded.ensure_running()


@pytest.mark.parametrize("locked", ["parent", "directory"])
def test_no_permission_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locked: str
) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    monkeypatch.setenv("STREAMQ_HOME", str(parent / "q"))
    read_only = parent
    if locked == "directory":
        read_only = parent / "q"
        read_only.mkdir()
    read_only.chmod(0o500)
    with (
        without_privileges(),
        pytest.raises(
            EmbeddedServerError,
            match=r"cannot create its (directory|lock file).*: Permission denied; ",
        ),
    ):
        embedded.ensure_running()


@contextlib.contextmanager
def without_privileges() -> Iterator[None]:
    """Root may write everywhere; it gives that up for as long as this lasts."""
    mine = os.geteuid()
    if mine == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(mine)
