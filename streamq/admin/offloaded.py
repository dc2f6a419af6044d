"""Data outside a stream that nothing refers to: what is left when others delete entries."""

from __future__ import annotations

import re

from streamq.admin.content import content
from streamq.admin.dead_letters import offloaded_of
from streamq.admin.overview import scan
from streamq.admin.reading import pages, text
from streamq.admin.schedules import scheduled_jobs
from streamq.errors import ConfigError
from streamq.server import Server
from streamq.wire.keys import StreamKeys, check_stream, dead_letters_of, group_keys, stream_keys

_CUT = 512
_AT_ONCE = 100


async def prune_data(server: Server, stream: str) -> int:
    """See :meth:`streamq.admin.Admin.prune_data`."""
    keys = stream_keys(check_stream(stream))
    found, _ = await scan(server, "MATCH", f"{_literally(keys.prefix)}:data:*", "TYPE", "string")
    left = {text(key).removeprefix(keys.data("")) for key in found}
    # What moves from the stream to the dead letters meanwhile may be missed, but hardly twice.
    for _ in range(2):
        if left:
            left -= await _referred(server, keys)
    names = sorted(left)
    for start in range(0, len(names), _AT_ONCE):
        part = names[start : start + _AT_ONCE]
        await server.call("DEL", *map(keys.data, part))
        await server.call("HDEL", keys.data_holders, *part)
    return len(names)


async def _referred(server: Server, keys: StreamKeys) -> set[str]:
    """The names that dead letters, jobs for later and entries have, in the order of their ways."""
    found: set[str] = set()
    letters, _ = await scan(server, "MATCH", f"{_literally(keys.prefix)}:group:*:dlq")
    for key in letters:
        owner = dead_letters_of(text(key))
        if owner is not None and owner[0] == keys.prefix:
            refs = await offloaded_of(server, group_keys(keys.stream, owner[1]))
            found.update(ref.name for ref in refs)
    async for job in scheduled_jobs(server, keys.stream, None):
        if job.ref is not None:
            found.add(job.ref.name)
    for stream in await _streams(server, keys):
        async for page in pages(server, stream, cut=_CUT):
            refs_of_page = (content(entry.fields).ref for entry in page)
            found.update(ref.name for ref in refs_of_page if ref is not None)
    return found


async def _streams(server: Server, keys: StreamKeys) -> list[str]:
    """The stream, and the other one with the same keys: ``jobs`` and ``{jobs}``."""
    names = []
    for name in dict.fromkeys((keys.stream, keys.prefix, keys.prefix[1:-1])):
        try:
            same = stream_keys(name).prefix == keys.prefix
        except ConfigError:
            continue
        if same and await server.call("TYPE", name) == b"stream":
            names.append(name)
    return names


def _literally(prefix: str) -> str:
    """A pattern that matches a prefix and nothing else."""
    return re.sub(r"([\\*?\[\]^-])", r"\\\1", prefix)
