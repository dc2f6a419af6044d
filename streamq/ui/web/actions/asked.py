"""What a form asks for, and the answers there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

from streamq.errors import ConfigError

if TYPE_CHECKING:
    from streamq.admin import Admin
    from streamq.ui.web.site import Site

MOST = 1024 * 1024
"""Bytes of a form."""


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form, in order."""

    fields: Sequence[tuple[str, str]]

    def get(self, name: str) -> str:
        """A field; empty where there is none."""
        return next((value for key, value in self.fields if key == name), "")

    def all(self, name: str) -> list[str]:
        """All fields of a name, each value once."""
        return list(dict.fromkeys(value for key, value in self.fields if key == name and value))

    def kept(self) -> Iterator[tuple[str, str]]:
        """What a confirmation has to ask for once more."""
        return ((key, value) for key, value in self.fields if key not in ("csrf", "back"))


async def read_form(request: Request) -> Form:
    """The form in a request.

    Raises:
        HTTPException: it is none, or too large.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(415, "send a form, as the pages do")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST:
            raise HTTPException(413, "the form is too large: choose fewer jobs at once")
    try:
        return Form(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=10_000))
    except ValueError:
        raise HTTPException(400, "the form cannot be read") from None


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for."""

    site: Site
    form: Form
    back: str

    @property
    def admin(self) -> Admin:
        """What does it."""
        return self.site.admin

    @property
    def place(self) -> tuple[str, str]:
        """The stream and the group."""
        return self.need("stream"), self.need("group")

    @property
    def confirmed(self) -> bool:
        """Whether it was said that it is meant."""
        return self.form.get("confirmed") == "yes"

    @property
    def ids(self) -> list[str]:
        """The jobs, at least one.

        Raises:
            ConfigError: there is none.
        """
        found = self.form.all("id")
        if not found:
            raise ConfigError("choose at least one job")
        return found

    def need(self, name: str) -> str:
        """A field that has to be there.

        Raises:
            ConfigError: it is not.
        """
        value = self.form.get(name)
        if not value:
            raise ConfigError(f"the form has no {name}")
        return value


@dataclass(frozen=True, slots=True)
class Confirm:
    """Ask first.

    Attributes:
        title: the question.
        lines: what it means.
        button: what the answer does: ``Purge 412 dead letters``.
        dangerous: whether it cannot be undone.
        extra: fields that the answer has to carry as well.
        reason: what to ask for a reason, and the one proposed.
    """

    title: str
    button: str
    lines: Sequence[str] = ()
    dangerous: bool = False
    extra: Sequence[tuple[str, str]] = ()
    reason: tuple[str, str] | None = field(default=None)


@dataclass(frozen=True, slots=True)
class Done:
    """It was done, or why not.

    Attributes:
        job: the stream, the group and the ID of the job to look at now, if not at the page before.
    """

    text: str
    bad: bool = False
    job: tuple[str, str, str] | None = None
