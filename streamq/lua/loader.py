"""The text of the Lua scripts: files, put together."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import cache
from hashlib import sha1
from typing import Any, NamedTuple

Arg = str | bytes | int | float

_INCLUDE = re.compile(r"^--@include (\w+)\n", re.MULTILINE)
_READS_ONLY = "#!lua flags=no-writes\n"


class Script(NamedTuple):
    """One Lua script: its whole text, the digest by which the server knows it, and its name."""

    source: str
    sha: str
    name: str

    @property
    def suffix(self) -> str:
        """Of the commands that run it: a user who may only read may run what only reads."""
        return "_RO" if self.source.startswith(_READS_ONLY) else ""


class Call(NamedTuple):
    """One run of a script, ready to be sent."""

    script: Script
    keys: Sequence[str]
    args: Sequence[Arg]

    @property
    def source(self) -> str:
        """The script's text."""
        return self.script.source

    def evalsha(self) -> tuple[Arg, ...]:
        """The command that runs it by its digest."""
        sha = self.script.sha
        return (f"EVALSHA{self.script.suffix}", sha, len(self.keys), *self.keys, *self.args)

    def eval(self) -> tuple[Arg, ...]:
        """The command that runs it by its text, after which the server knows its digest."""
        source = self.source
        return (f"EVAL{self.script.suffix}", source, len(self.keys), *self.keys, *self.args)


@cache
def load(name: str) -> Script:
    """The script in ``name``.lua, with its includes put in."""
    return _script(_assembled(_text(f"{name}.lua")), name)


@cache
def in_front(fragment: str, script: Script) -> Script:
    """A script with the fragment ``includes/fragment.lua`` put in front of what it does."""
    shebang, _, rest = script.source.partition("\n")
    text = f"{shebang}\n{_assembled(_text('includes', f'{fragment}.lua'))}{rest}"
    return _script(text, script.name)


def _script(source: str, name: str) -> Script:
    return Script(source, sha1(source.encode(), usedforsecurity=False).hexdigest(), name)


def _assembled(text: str) -> str:
    seen: set[str] = set()

    def expand(text: str) -> str:
        def include(match: re.Match[str]) -> str:
            fragment = match[1]
            if fragment in seen:
                return ""
            seen.add(fragment)
            return expand(_text("includes", f"{fragment}.lua"))

        return _INCLUDE.sub(include, text)

    return expand(text)


@cache
def with_data(inner: Script) -> Script:
    """The script that keeps data outside the stream, around one that writes its entry."""
    _, _, body = inner.source.partition("\n")
    return _script(load("with_data").source.replace("--@script\n", body), inner.name)


def _text(*path: str) -> str:
    # By the module's own loader, as importlib.resources does, which takes long to import.
    loader: Any = __spec__.loader
    text: bytes = loader.get_data(os.path.join(os.path.dirname(__file__), *path))
    return text.decode()
