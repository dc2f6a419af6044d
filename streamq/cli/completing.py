"""What the shell proposes at TAB: commands, options, and names that the server knows.

Whatever goes wrong, nothing is proposed: a line that is still being typed is no place for an
error, and no server is started for it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, TypeAlias

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    shell_complete,
    split_arg_string,
)

from streamq.errors import ConfigError, StreamqError
from streamq.limits import DEFAULT_STREAM, LEASE
from streamq.text import printable

if TYPE_CHECKING:
    from streamq.admin import Admin

VARIABLE = "_STREAMQ_COMPLETE"
"""The environment variable in which the shell says what it wants."""

SHELLS = ("bash", "zsh", "fish")

PATIENCE = 0.3
"""Seconds that the server has. What it has answered by then is proposed."""

MOST = 100
"""Values that are proposed at once."""

Kind = Literal[
    "cancellable",
    "streams",
    "groups",
    "consumers",
    "jobs",
    "pending",
    "waiting",
    "dead letters",
    "scheduled",
    "schedules",
]
"""What can be asked of the server; ``waiting`` are pending jobs that do not run."""

Proposal: TypeAlias = "CompletionItem[str]"


def answer(app: click.Command, instruction: str) -> NoReturn:
    """Print what the shell wants, and leave the process.

    Args:
        instruction: ``bash_source`` for the script that bash has to read, ``bash_complete``
            for proposals; likewise for the other shells.

    Raises:
        ConfigError: it is neither.
    """
    shell, _, what = instruction.partition("_")
    if shell not in SHELLS or what not in ("source", "complete"):
        scripts = [f"{one}_source" for one in SHELLS]
        raise ConfigError(
            f"{VARIABLE}={printable(instruction, 60)}: give {', '.join(scripts[:-1])} or "
            f"{scripts[-1]}"
        )
    for own in (_Bash, _Zsh, _Fish):
        add_completion_class(own)
    code = 1
    try:
        code = shell_complete(app, {}, "streamq", VARIABLE, instruction)
        sys.stdout.flush()
    except Exception:
        pass
    # Not by way of sys.exit(): it would wait for a look-up of a host name that hangs.
    os._exit(code)


def propose(kind: Kind, ctx: click.Context, typed: str) -> list[Proposal]:
    """The values of one kind that begin with what was typed.

    The other arguments say of which server, stream and group; those given already are left out.
    """
    import asyncio

    found: dict[str, Proposal] = {}
    try:
        # Its end must not wait either, as asyncio.run() would.
        asyncio.new_event_loop().run_until_complete(_collect(kind, ctx, typed, found))
    except (StreamqError, TimeoutError):
        pass
    return [*found.values()]


async def _collect(kind: Kind, ctx: click.Context, typed: str, found: dict[str, Proposal]) -> None:
    import asyncio

    from streamq.admin import Admin
    from streamq.server import Server, embedded
    from streamq.server.address import default_url

    url = ctx.params.get("url") or default_url() or embedded.url_of_running()
    if url is None:
        return
    admin = Admin(Server(url), lease=ctx.params.get("lease") or LEASE)
    given = {one for value in ctx.params.values() if isinstance(value, tuple) for one in value}
    async with asyncio.timeout(PATIENCE):
        for stream in ctx.params.get("streams") or [ctx.params.get("stream") or DEFAULT_STREAM]:
            async for item in _SOURCES[kind](admin, stream, ctx.params.get("group")):
                name = item.value
                if name.startswith(typed) and name not in given and printable(name) == name:
                    found.setdefault(name, item)
                    if len(found) == MOST:
                        return


# -- what the server knows ----------------------------------------------------


async def _streams(admin: Admin, stream: str, group: str | None) -> AsyncIterator[Proposal]:
    async for name in admin.stream_names():
        yield CompletionItem(name)


async def _groups(admin: Admin, stream: str, group: str | None) -> AsyncIterator[Proposal]:
    for name in await admin.group_names(stream):
        yield CompletionItem(name)


async def _consumers(admin: Admin, stream: str, group: str | None) -> AsyncIterator[Proposal]:
    for one in await admin.groups(stream):
        if group in (None, one.name):
            for consumer in one.consumers:
                state = "alive" if consumer.alive else "gone"
                yield CompletionItem(consumer.name, help=f"{state} in {one.name}")


async def _pending(
    admin: Admin, stream: str, group: str | None, *states: str
) -> AsyncIterator[Proposal]:
    async for job in admin.pending(stream, group, states=states):
        yield _job(job.id, job.type, f"{job.state} in {job.group}")


def _waiting(admin: Admin, stream: str, group: str | None) -> AsyncIterator[Proposal]:
    return _pending(admin, stream, group, "retrying", "stalled")


async def _dead_letters(admin: Admin, stream: str, group: str | None) -> AsyncIterator[Proposal]:
    for name in await admin.group_names(stream) if group is None else [group]:
        async for letter in admin.dead_letters(stream, name).list(newest_first=True, limit=MOST):
            yield _job(letter.job_id, letter.type, f"dead in {name}")


async def _jobs(admin: Admin, stream: str, group: str | None) -> AsyncIterator[Proposal]:
    async for item in _pending(admin, stream, group):
        yield item
    async for item in _dead_letters(admin, stream, group):
        yield item
    if group is None:
        async for item in _scheduled(admin, stream, group):
            yield item


async def _cancellable(admin: Admin, stream: str, group: str | None) -> AsyncIterator[Proposal]:
    async for item in _pending(admin, stream, group):
        yield item
    async for item in _scheduled(admin, stream, group):
        yield item


async def _scheduled(admin: Admin, stream: str, group: str | None) -> AsyncIterator[Proposal]:
    async for job in admin.scheduled(stream):
        yield _job(job.name, job.type, "scheduled")


async def _schedules(admin: Admin, stream: str, group: str | None) -> AsyncIterator[Proposal]:
    for one in await admin.schedules.list(stream):
        state = "periodic" if one.paused_since is None else "paused"
        yield _job(one.name, one.type, state)


def _job(id: str, type: str | None, state: str) -> Proposal:
    return CompletionItem(id, help=printable(f"{state} ({type})" if type else state, 60))


_SOURCES: dict[Kind, Callable[[Admin, str, str | None], AsyncIterator[Proposal]]] = {
    "cancellable": _cancellable,
    "streams": _streams,
    "groups": _groups,
    "consumers": _consumers,
    "jobs": _jobs,
    "pending": _pending,
    "waiting": _waiting,
    "dead letters": _dead_letters,
    "scheduled": _scheduled,
    "schedules": _schedules,
}


# -- the shells ---------------------------------------------------------------


class _WholeWords(ShellComplete):
    """A proposal for ``--stream=…`` begins with that: it stands for the whole word."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
        """What may stand in the place of ``incomplete``."""
        items = super().get_completions(args, incomplete)
        if incomplete.startswith("-") and "=" in incomplete:
            for item in items:
                item.value = f"{incomplete.partition('=')[0]}={item.value}"
        return items


class _Zsh(_WholeWords, ZshComplete):
    pass


class _Fish(_WholeWords, FishComplete):
    pass


class _Bash(_WholeWords, BashComplete):
    """Bash, for which a word ends at a colon and at an equals sign, so that a URL is five words.

    Its line tells them whole; a proposal stands for the last piece only. It is inserted as it
    is, so it may have no character that a shell acts upon.
    """

    source_template: ClassVar[str] = """\
%(complete_func)s() {
    local type value
    while IFS=, read -r type value; do
        if [[ $type == file ]]; then
            compopt -o default
        elif [[ $type == plain ]]; then
            COMPREPLY+=("$value")
        fi
    done <<< "$(COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORD="$2" \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)"
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""
    _before = 0
    """Characters of the word that stand before its last piece."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The arguments before the cursor, and what was typed of the one at it."""
        line, piece = os.environ.get("COMP_LINE"), os.environ.get("COMP_WORD", "")
        if line is None:
            return super().get_completion_args()
        *words, last = split_arg_string(f"{line}|")  # so that the last one is never empty
        typed = last[:-1]
        if typed.endswith(piece):
            self._before = len(typed) - len(piece)
        return words[1:], typed

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
        """What can be inserted as it is."""
        return [*filter(_is_plain, super().get_completions(args, incomplete))]

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """A line for the script above."""
        return f"{item.type},{item.value[self._before :]}"


def _is_plain(item: CompletionItem[Any]) -> bool:
    return item.type != "plain" or re.fullmatch(r"[\w@%+=:./{}-]+", item.value) is not None
