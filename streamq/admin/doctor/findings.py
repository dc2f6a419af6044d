"""What was looked at, what was found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How bad a finding is.

    Attributes:
        OK: nothing is wrong.
        NOTE: good to know, or could not be checked.
        WARNING: it will bite.
        PROBLEM: it bites already, or loses jobs.
    """

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: how bad it is.
        name: what was looked at, such as ``persistence``; always the same words.
        found: what was found, for a person.
        advice: what to do; empty where there is nothing to do.
        stream: the stream that it is about, if it is about one.
        group: the group.
    """

    level: Level
    name: str
    found: str
    advice: str = ""
    stream: str | None = None
    group: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data."""
        return {
            "level": self.level.value, "name": self.name, "found": self.found,
            "advice": self.advice, "stream": self.stream, "group": self.group,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that was looked at on a server, the worst first.

    Attributes:
        where: its address, without user name and password.
        findings: what was found, what is in order included.
    """

    where: str
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether there is no warning and no problem."""
        return not (self.of(Level.WARNING) or self.of(Level.PROBLEM))

    def of(self, level: Level) -> list[Finding]:
        """The findings of one level."""
        return [finding for finding in self.findings if finding.level is level]

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data."""
        return {
            "where": self.where, "healthy": self.healthy,
            "findings": [finding.to_dict() for finding in self.findings],
        }  # fmt: skip


class Refused(Exception):
    """The server does not let this user, or anybody, run a command that a check needs."""


def not_checked(name: str, command: str) -> Finding:
    """A check that could not be made."""
    return Finding(
        Level.NOTE, name, f"not checked: the server refuses {command}",
        f"let a user who may run {command} look, or ask whoever runs the server",
    )  # fmt: skip
