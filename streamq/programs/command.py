"""A command line with placeholders, and the arguments that it makes of a job.

::

    convert -resize 256 -- {file} thumbnails/{@id}.png

An argument is made after the command was split into words, and no shell reads it: what
is in the data stays one argument, whatever characters it has.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Callable, Mapping
from typing import NamedTuple

from streamq.errors import ConfigError, InvalidArguments
from streamq.job import Job
from streamq.text import printable
from streamq.wire import json

MAX_ARGUMENT = 128 * 1024 - 1
"""Bytes of one argument; Linux takes no more."""

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_FIELD = re.compile(r"[A-Za-z_][\w.-]*")
_ABOUT_JOB: Mapping[str, Callable[[Job], object]] = {
    "@id": lambda job: job.id,
    "@type": lambda job: job.type,
    "@stream": lambda job: job.stream,
    "@group": lambda job: job.group,
    "@attempt": lambda job: job.attempt,
    "@data": lambda job: job.raw.decode("utf-8", "surrogateescape"),
}
_INTERPRETERS = re.compile(
    r"(ba|da|z|k|fi|a)?sh|python[\d.]*|perl|ruby|node|php|lua[\d.]*|su|script"
)
_SHELL_BEHIND = ("ssh", "watch", "parallel")
_SCRIPT_OPTION = re.compile(r"-[A-Za-z]*[cer]|--(eval|command|execute)")


class Placeholder(NamedTuple):
    """A field of the job's data, or one of the ``@`` names."""

    name: str


class Command:
    """A command line with placeholders.

    ``{file}`` stands for the field ``file`` of the job's data: text as it is, any other
    value as JSON. ``{@id}``, ``{@type}``, ``{@stream}``, ``{@group}``, ``{@attempt}``
    and ``{@data}`` (all of it, as JSON) tell of the job itself. ``{{`` and ``}}`` are
    braces.

    Args:
        template: split into words as a shell would, without anything else a shell does.

    Raises:
        ConfigError: it cannot be used, or is not safe.
    """

    def __init__(self, template: str) -> None:
        try:
            words = shlex.split(template)
        except ValueError as error:
            raise ConfigError(f"the command cannot be split into words: {error}") from None
        if not words:
            raise ConfigError("the command is empty: name a program")
        self._words = [_parse(word) for word in words]
        if any(isinstance(part, Placeholder) for part in self._words[0]):
            raise ConfigError("the program itself cannot come from the job's data")
        self._refuse_scripts(words)
        self.program = words[0]
        if shutil.which(self.program) is None:
            raise ConfigError(f"no program '{printable(self.program, 100)}' is on the PATH")

    def arguments(self, job: Job) -> list[bytes]:
        """The program and its arguments for one job.

        Raises:
            InvalidEntry: the data is not JSON.
            InvalidArguments: a field is missing, or could be mistaken for an option.
        """
        arguments: list[bytes] = []
        options_may_follow = True
        for word in self._words:
            value = "".join(
                part if isinstance(part, str) else _value(part.name, job) for part in word
            )
            first = word[0] if word else ""
            if options_may_follow and isinstance(first, Placeholder) and _is_option(value):
                raise InvalidArguments(
                    f"{first.name} begins with '-' and could be taken for an option: "
                    f"{printable(value, 60)}; put -- before it in the command"
                )
            if word == ["--"]:
                options_may_follow = False
            arguments.append(_encode(value))
        return arguments

    def _refuse_scripts(self, words: list[str]) -> None:
        """No placeholder where a shell or another interpreter would read it as code."""
        names = [os.path.basename(word) for word in words]
        for i, parts in enumerate(self._words):
            if not any(isinstance(part, Placeholder) for part in parts):
                continue
            shell = next((name for name in names[:i] if name in _SHELL_BEHIND), None)
            if shell is not None:
                raise ConfigError(
                    f"{shell} hands its arguments to a shell, which would read the job's data as "
                    "code: let the program read the job from its standard input"
                )
            if _SCRIPT_OPTION.fullmatch(words[i - 1]) and any(
                _INTERPRETERS.fullmatch(name) for name in names[: i - 1]
            ):
                raise ConfigError(
                    "a placeholder inside a script would let data run as code: pass it as an "
                    "argument, such as sh -c 'cp -- \"$1\" /backup' sh {file}"
                )


def _parse(word: str) -> list[str | Placeholder]:
    parts: list[str | Placeholder] = []
    end = 0
    for match in _BRACES.finditer(word):
        parts.append(word[end : match.start()])
        end = match.end()
        name = match[1]
        if match[0] in ("{{", "}}"):
            parts.append(match[0][0])
        elif name is not None and (name in _ABOUT_JOB or _FIELD.fullmatch(name)):
            parts.append(Placeholder(name))
        else:
            known = f"; names with @ are {', '.join(_ABOUT_JOB)}" if name and "@" in name else ""
            raise ConfigError(
                f"{match[0]} in the command names no field: write {{file}} for the field 'file', "
                f"{{{{ and }}}} for braces{known}"
            )
    parts.append(word[end:])
    return [part for part in parts if part]


def _value(name: str, job: Job) -> str:
    if name in _ABOUT_JOB:
        return str(_ABOUT_JOB[name](job))
    data = job.data
    if not isinstance(data, dict):
        raise InvalidArguments(f"the data is not an object with fields but {printable(data, 60)}")
    if name not in data:
        raise InvalidArguments(f"{name} is missing")
    value = data[name]
    return value if isinstance(value, str) else json.dumps(value).decode()


def _is_option(value: str) -> bool:
    return value.startswith("-") and not re.fullmatch(r"-[\d.]+(e[+-]?\d+)?", value)


def _encode(value: str) -> bytes:
    raw = value.encode("utf-8", "surrogateescape")
    if b"\0" in raw:
        raise InvalidArguments(f"an argument cannot have NUL bytes: {printable(value, 60)}")
    if len(raw) > MAX_ARGUMENT:
        raise InvalidArguments(
            f"an argument of {len(raw):,} bytes is more than the system takes: "
            "read it from standard input instead"
        )
    return raw
