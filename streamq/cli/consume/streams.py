"""The streams that ``--stream`` names, and their weights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from streamq.errors import ConfigError
from streamq.limits import MAX_WEIGHT
from streamq.text import printable

_WEIGHTED = re.compile(r"(.+):([0-9]{1,9})", re.DOTALL)


def read_streams(given: Sequence[str], *, strict: bool) -> Sequence[str] | Mapping[str, int]:
    """Names of streams, or name → weight where each of several has one: ``urgent:9``.

    A stream that is alone shares nothing: all that is given is its name.

    Raises:
        ConfigError: only some have a weight, or one cannot be used, or there is an order as well.
    """
    if len(given) < 2:
        if strict:
            raise ConfigError("--strict goes by the order of the streams: give --stream for each")
        return given
    found = [(one, _WEIGHTED.fullmatch(one)) for one in given]
    without = [one for one, match in found if match is None]
    if len(without) == len(given):
        return given
    if without:
        raise ConfigError(
            f"--stream {printable(without[0], 60)} has no weight and others have: give each one, "
            f"as in {printable(without[0], 60)}:1, also where a name itself ends in a number"
        )
    if strict:
        raise ConfigError("--strict goes by the order of the streams: leave out their weights")
    weights: dict[str, int] = {}
    for one, match in found:
        assert match is not None
        name, weight = match[1], int(match[2])
        if not 1 <= weight <= MAX_WEIGHT:
            raise ConfigError(f"--stream {printable(one, 60)}: a weight is 1 to {MAX_WEIGHT:,}")
        if name in weights:
            raise ConfigError(f"--stream {printable(one, 60)}: that stream is there twice")
        weights[name] = weight
    return weights
