"""The code blocks of the documentation, so that tests can run what readers will copy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).parent.parent

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced code block.

    Attributes:
        line: where its text begins in the file, from 1.
    """

    language: str
    text: str
    line: int


def read(path: Path) -> str:
    """The text of a page."""
    return path.read_text(encoding="utf-8")


def blocks(content: str, language: str) -> list[Block]:
    """The blocks of one language in Markdown text."""
    return [
        Block(match[1], match[2], content.count("\n", 0, match.start(2)) + 1)
        for match in _BLOCK.finditer(content)
        if match[1] == language
    ]


@dataclass(frozen=True)
class Step:
    """A command, and the output that follows it."""

    command: str
    output: tuple[str, ...]
    line: int


def steps(block: Block, prompt: str = "$ ") -> list[Step]:
    """The commands of a block with commands and their output: a prompt begins each."""
    found: list[Step] = []
    for number, text in enumerate(block.text.splitlines(), block.line):
        if text.startswith(prompt):
            found.append(Step(text.removeprefix(prompt), (), number))
        elif found:
            last = found.pop()
            found.append(Step(last.command, (*last.output, text), last.line))
    return found


_NAME = r"\b\d{13}-\d+\b|\b[\w.-]+-\d+-[0-9a-f]{6}\b"
"""A job's ID, or a consumer's name."""

_VARIES = [
    r"(?:\d+ (?:d|h|min) )?\d+(?:\.\d+)?(?:e-\d+)? (?:ms|s|min|h|d)\b",
    r"\d{4}-\d\d-\d\d",
    r"\d\d:\d\d:\d\d",
    r"\d+(?:\.\d+)? (?:B|[KMG]iB)\b",
    r"\b80\d\d\b",  # the port of the metrics, the first that is free
    r"\d+\.\d+\.\d+",  # a version
]
"""What is different each time: durations, dates, times, sizes, ports, versions."""


class Likeness:
    """Compares what was printed with what the documentation shows.

    What varies by nature may vary, a run of spaces may be any, and ``…`` is any text. Names
    are remembered: what is the same in the documentation must be the same in reality, and
    a later command is given the real one.

    Args:
        also: what else varies: a pattern for the documentation, and one for reality.
    """

    def __init__(self, also: Mapping[str, str] = MappingProxyType({})) -> None:
        self._varies = {varies: f"(?:{varies}|now)" for varies in _VARIES} | dict(also)
        self._tokens = re.compile(f"({_NAME}|{'|'.join(self._varies)}|…| +)")
        self._real: dict[str, str] = {}

    def command(self, command: str) -> str:
        """A documented command with the real names in it."""
        return re.sub(_NAME, lambda name: self._real.get(name[0], name[0]), command)

    def accepts(self, documented: str, printed: str) -> bool:
        """Whether a line that was printed is like the documented one."""
        tokens = self._tokens.split(documented.strip())
        names = [token for token in tokens if self._is_new(token)]
        match = re.fullmatch("".join(map(self._pattern, tokens)), printed.strip())
        if match is None:
            return False
        self._real.update(zip(names, match.groups(), strict=True))
        return True

    def _is_new(self, token: str) -> bool:
        return re.fullmatch(_NAME, token) is not None and token not in self._real

    def _pattern(self, token: str) -> str:
        if self._is_new(token):
            return f"({_NAME})"
        if token in self._real:
            return re.escape(self._real[token])
        if token == "…":
            return ".*"
        if token and not token.strip():
            return " +"
        for varies, real in self._varies.items():
            if re.fullmatch(varies, token):
                return real
        return re.escape(token)
