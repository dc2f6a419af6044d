"""Fields of payloads that are not for everybody's eyes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate
from typing import Any

from streamq.errors import ConfigError

MASKED = "••••••"


class Mask:
    """Replaces the values of some fields, wherever in a payload they are.

    Args:
        patterns: names of fields, with ``*`` for any text. One with a dot is compared with
            the whole path of a field (``*.token`` is every ``token`` but the outermost,
            ``user.token`` just this one); one without, with its name at any depth. Capitals do
            not matter, and items of lists do not count.

    Raises:
        ConfigError: a pattern is empty, or no text.
    """

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        names: list[str] = []
        paths: list[str] = []
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            if not isinstance(pattern, str) or not pattern:
                raise ConfigError(f"mask={pattern!r}: give names of fields, as password or *.token")
            (paths if "." in pattern else names).append(translate(pattern.lower()))
        self._name = re.compile("|".join(names)) if names else None
        self._path = re.compile("|".join(paths)) if paths else None

    def __bool__(self) -> bool:
        """Whether it masks anything."""
        return self._name is not None or self._path is not None

    def __call__(self, data: Any) -> Any:
        """A copy of plain data, with ``••••••`` for what is masked."""
        return self._masked(data, "") if self else data

    def _masked(self, data: Any, path: str) -> Any:
        if isinstance(data, dict):
            return {name: self._field(str(name), value, path) for name, value in data.items()}
        if isinstance(data, list | tuple):
            return [self._masked(item, path) for item in data]
        return data

    def _field(self, name: str, value: Any, path: str) -> Any:
        whole = f"{path}.{name}" if path else name
        if (self._name is not None and self._name.match(name.lower())) or (
            self._path is not None and self._path.match(whole.lower())
        ):
            return MASKED
        return self._masked(value, whole)
