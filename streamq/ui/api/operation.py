"""What an operation of the API is: its address, what it takes, what it answers, and the doing."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from streamq.ui.api.served import Served
from streamq.ui.api.values import StreamName

if TYPE_CHECKING:
    from starlette.requests import Request


class Taken(BaseModel):
    """What a caller gives; what is not known is refused."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Told(BaseModel):
    """What an answer looks like: for the schema, of which nothing more may be told."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class NoQuery(Taken):
    """Nothing after the question mark."""


class StreamQuery(Taken):
    """Which stream is meant."""

    stream: StreamName | None = None
    """The stream. [default: the app's own, else `jobs`]"""


@dataclass(frozen=True)
class Call:
    """A request for an operation, read and checked.

    Attributes:
        query: as the operation's ``query`` says.
        body: as its ``body`` says; ``None`` where it takes none.
    """

    request: Request
    served: Served
    query: Any
    body: Any

    def named(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    @property
    def stream(self) -> str:
        """The stream that is meant.

        Raises:
            Refusal: it may not be reached.
        """
        return self.served.stream(self.query.stream)


@dataclass(frozen=True)
class Reply:
    """What an operation answers.

    Attributes:
        value: as its ``answers`` say for this status.
    """

    value: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """One thing that can be done.

    Attributes:
        run: does it; its docstring is what the documentation says.
        section: under which the documentation has it.
        query: what may come after the question mark.
        body: the type of the body, for pydantic; ``None`` for none.
        answers: by status, what it means and the type of what is told.
        refuses: further statuses, all with problem details.
        headers: names of headers that matter to it, and what they are for.
    """

    method: str
    path: str
    run: Callable[[Call], Awaitable[Reply]]
    section: str
    answers: Mapping[int, tuple[str, Any]]
    query: type[Taken] = NoQuery
    body: Any = None
    refuses: tuple[int, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its name in the OpenAPI document."""
        return self.run.__name__

    @property
    def summary(self) -> str:
        """What it does, in a line."""
        return inspect.cleandoc(self.run.__doc__ or "").partition("\n")[0].rstrip(".")

    @property
    def description(self) -> str:
        """What else there is to know."""
        return inspect.cleandoc(self.run.__doc__ or "").partition("\n")[2].strip()
