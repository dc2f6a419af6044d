"""What everything has in common that is served over HTTP: access, errors, the server itself.

It needs the packages of the extra ``streamq[dashboard]``, which :func:`need_extra` looks for.
"""

from __future__ import annotations

from importlib.util import find_spec

from streamq.errors import ConfigError

_NEEDED = ("starlette", "uvicorn", "jinja2")


def need_extra() -> None:
    """Make sure that the packages of the extra are there.

    Raises:
        ConfigError: one of them is missing.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed: "
            "pip install 'streamq[dashboard]'"
        )
