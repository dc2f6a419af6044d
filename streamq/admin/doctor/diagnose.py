"""All checks, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

from streamq.admin.doctor.findings import Diagnosis, Finding, Level, not_checked
from streamq.admin.doctor.records import check_records
from streamq.admin.doctor.rights import check_rights
from streamq.admin.doctor.server_checks import check_server, tells_of_idle_workers
from streamq.admin.doctor.stream_checks import NAMES, check_stream
from streamq.admin.overview import overview
from streamq.admin.streams import StreamInfo, stream_info
from streamq.errors import AuthenticationFailed, ServerRefused, WrongKeyType
from streamq.server import Server
from streamq.server.version import ServerInfo
from streamq.text import printable

STREAMS = "streams"

SOME = "workers"
"""A group to ask about where there is none yet: the user's rights are for all of a stream."""

WRONG_TYPE = Finding(
    Level.PROBLEM, STREAMS,
    "not checked: a key with a name that streamq uses holds something else than it should",
    "look with TYPE at the stream's key and at those that begin with {STREAM}:, find out which "
    "program writes it, and RENAME it, or use another stream",
)  # fmt: skip

ORDER = (Level.PROBLEM, Level.WARNING, Level.NOTE, Level.OK)


async def diagnose(server: Server, lease: float, stream: str | None) -> Diagnosis:
    """See :meth:`streamq.admin.Admin.doctor`."""
    await server.info()  # which sets the clock
    info = await server.info_now()
    streams, findings = await _streams(server, lease, stream)
    groups = {one.name: next((group.name for group in one.groups), SOME) for one in streams}
    if stream is not None:
        groups.setdefault(stream, SOME)
    findings = [
        *await check_server(server, info),
        *await check_rights(server, groups),
        *await check_records(server, info, stream),
        *findings,
        *(await _in_streams(server, info, streams) if streams or not findings else []),
    ]
    findings.sort(key=lambda finding: ORDER.index(finding.level))
    return Diagnosis(server.where, tuple(findings))


async def _streams(
    server: Server, lease: float, stream: str | None
) -> tuple[Sequence[StreamInfo], list[Finding]]:
    """The streams to look at, and what is to be said of those that cannot be looked at."""
    try:
        if stream is not None:
            return [await stream_info(server, stream, lease)], []
        about = await overview(server, lease)
    except WrongKeyType:
        return [], [WRONG_TYPE]
    except (AuthenticationFailed, ServerRefused) as error:
        return [], [
            Finding(
                Level.NOTE, STREAMS, f"not checked: {printable(error, 300)}",
                "where the user may not run SCAN, give a stream with --stream",
            )
        ]  # fmt: skip
    forbidden, findings = about.forbidden, []
    if forbidden:
        names = ", ".join(printable(name, 60) for name in forbidden[:3])
        more = f", and {len(forbidden) - 3:,} more" if len(forbidden) > 3 else ""
        findings.append(
            Finding(
                Level.NOTE, STREAMS, f"not checked: the user's ACL denies access to {names}{more}"
            )
        )  # fmt: skip
    if not about.complete:
        findings.append(
            Finding(
                Level.NOTE, STREAMS, "too many keys to look at them all: there may be more streams",
                "give one with --stream",
            )
        )  # fmt: skip
    return about.streams, findings


async def _in_streams(
    server: Server, info: ServerInfo, streams: Sequence[StreamInfo]
) -> list[Finding]:
    findings: list[Finding] = []
    idle_known = tells_of_idle_workers(info)
    for stream in streams:
        try:
            findings += [finding async for finding in check_stream(server, stream, idle_known)]
        except (AuthenticationFailed, ServerRefused):
            findings.append(not_checked("dead letters", f"to read those of {stream.name}"))
    said = {finding.name for finding in findings}
    count = "1 stream" if len(streams) == 1 else f"{len(streams):,} streams"
    return findings + [
        Finding(Level.OK, name, f"nothing found in {count}") for name in NAMES if name not in said
    ]
