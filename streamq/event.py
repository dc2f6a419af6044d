"""A typed payload: one class for whoever produces a job and whoever handles it.

::

    class PhotoAdded(Event):
        file: Path
        width: int = 256

    await app.produce(PhotoAdded(file="a.png"))      # its type is "photo_added"

    @images.handler()
    async def make_thumbnail(event: PhotoAdded) -> None: ...
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from streamq.wire.entry import check_type

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Event(BaseModel):
    """A job's data as a pydantic model, and its type as the name of the class.

    ``PhotoAdded`` has the type ``photo_added``; ``class PhotoAdded(Event, type="photo.added")``
    names another one. A type is not inherited: each subclass has its own.

    Raises:
        pydantic.ValidationError: a field is missing or does not fit.
        ConfigError: the class has a name that is no job type.
    """

    model_config = ConfigDict(frozen=True)

    __event_type__: ClassVar[str] = "event"

    @classmethod
    def __pydantic_init_subclass__(cls, *, type: str | None = None, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.__event_type__ = check_type(type if type is not None else snake_case(cls.__name__))

    def __init_subclass__(cls, *, type: str | None = None, **kwargs: Any) -> None:
        # pydantic hands the class's keywords on to the method above by itself.
        super().__init_subclass__(**kwargs)


def event_type(event: Event | type[Event]) -> str:
    """The job type of an event, or of all events of a class."""
    return event.__event_type__


def snake_case(name: str) -> str:
    """``PhotoAdded`` as ``photo_added``, ``HTTPRequestDone`` as ``http_request_done``."""
    return _WORD.sub("_", name).lower()
