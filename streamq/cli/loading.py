"""Finding the App that a command is for: ``--app``, the environment or pyproject.toml."""

from __future__ import annotations

import importlib
import os
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from streamq.errors import ConfigError, StreamqError
from streamq.text import printable

if TYPE_CHECKING:
    from streamq.app import App

ENV_APP = "STREAMQ_APP"

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def find_app(given: str | None) -> App | None:
    """The App that ``--app``, ``STREAMQ_APP`` or ``[tool.streamq] app`` names, in this order.

    Returns:
        ``None`` when none of them names one.

    Raises:
        ConfigError: what is named is not there, cannot be imported or is no App.
    """
    for source, name in _named(given):
        if name:
            return load_app(name, source)
    return None


def load_app(name: str, source: str = "--app") -> App:
    """The App called ``module:name``; the current directory is searched first.

    Args:
        name: such as ``worker:app`` or ``shop.jobs:app``.
        source: who said so, for the message.

    Raises:
        ConfigError: there is no such thing, it cannot be imported or is no App.
    """
    from streamq.app import App

    if not _NAME.fullmatch(name):
        hint = "MODULE:NAME, such as worker:app"
        if name.endswith(".py") or os.sep in name:
            hint += " for the App called app in worker.py"
        raise ConfigError(f"{source} '{printable(name, 100)}': give {hint}")
    module_name, _, path = name.partition(":")
    module = _import(module_name, source)
    found: object = module
    for part in path.split("."):
        found = getattr(found, part, None)
    if isinstance(found, App):
        return found
    apps = [key for key, value in vars(module).items() if isinstance(value, App)]
    known = f"its Apps: {', '.join(apps)}" if apps else "it has no App"
    what = "there is none" if found is None else f"that is of type {type(found).__name__}"
    raise ConfigError(f"{source} {name}: {what}; of {module_name}, {known}")


def _named(given: str | None) -> Iterator[tuple[str, str | None]]:
    yield "--app", given
    yield ENV_APP, os.environ.get(ENV_APP)
    yield "[tool.streamq] app in pyproject.toml", _in_pyproject(Path("pyproject.toml"))


def _in_pyproject(file: Path) -> str | None:
    try:
        text = file.read_bytes()
    except OSError:
        return None
    if b"streamq" not in text:
        return None
    import tomllib

    try:
        table = tomllib.loads(text.decode()).get("tool", {}).get("streamq", {})
    except (ValueError, AttributeError) as error:
        raise ConfigError(f"{file} cannot be read: {printable(error, 200)}") from None
    name = table.get("app") if isinstance(table, dict) else None
    if name is not None and not isinstance(name, str):
        raise ConfigError(f"{file}: [tool.streamq] app must be text such as 'worker:app'")
    return name


def _import(name: str, source: str) -> ModuleType:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise ConfigError(
                f"{source}: no module named {name} in {printable(here)} or on the Python path"
            ) from None
        raise _failed(name, source, error) from error
    except (Exception, SystemExit) as error:
        raise _failed(name, source, error) from error


def _failed(name: str, source: str, error: BaseException) -> ConfigError:
    """What went wrong while importing, and where in the user's own code."""
    told = printable(error, 200)
    if isinstance(error, StreamqError):
        what = told
    elif isinstance(error, SyntaxError):
        what = f"{type(error).__name__}: {printable(error.msg, 200)}"
    else:
        what = f"{type(error).__name__}: {told}" if told else type(error).__name__
    return ConfigError(f"{source}: importing {name} failed: {what}{_place(error)}")


def _place(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({_short(error.filename)}, line {error.lineno})"
    here = os.getcwd() + os.sep
    frames = [f for f in traceback.extract_tb(error.__traceback__) if os.path.exists(f.filename)]
    own = [f for f in frames if f.filename.startswith(here) and "site-packages" not in f.filename]
    last = (own or frames)[-1]
    return f" ({_short(last.filename)}, line {last.lineno})"


def _short(filename: str) -> str:
    path = os.path.relpath(filename)
    return printable(filename if path.startswith("..") else path)
