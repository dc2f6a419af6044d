"""What an :class:`Admin` answers and does about streams and their groups."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from streamq.errors import StreamNotFound
from streamq.limits import LEASE
from streamq.server import Server

if TYPE_CHECKING:
    from streamq.admin.backlog import Backlogs
    from streamq.admin.doctor.findings import Diagnosis
    from streamq.admin.groups import DeletedGroup
    from streamq.admin.overview import Overview
    from streamq.admin.pending import Allowed
    from streamq.admin.places import RewoundGroup
    from streamq.admin.settings import StreamSettings
    from streamq.admin.snapshot import Snapshot
    from streamq.admin.streams import GroupInfo, StreamInfo
    from streamq.codec import Codec
    from streamq.flow.state import GroupState
    from streamq.offload import Store


class StreamsAdmin:
    """The part of :class:`~streamq.admin.Admin` that is about streams and groups."""

    def __init__(
        self,
        server: Server,
        *,
        lease: float = LEASE,
        allowed: Allowed | None = None,
        codec: Codec | None = None,
        store: Store | None = None,
    ) -> None:
        self._server = server
        self._lease = lease
        self._allowed = allowed or _not_known
        self._codec = codec
        self._store = store

    async def time(self) -> float:
        """The server's clock, Unix time in seconds: the least that tells whether it answers."""
        seconds, micros = await self._server.call("TIME")
        return int(seconds) + int(micros) / 1_000_000

    async def info(self) -> Overview:
        """The server and all streams on it.

        Raises:
            ServerUnsupported: it is older than Redis 7.0 or Valkey 7.2.
        """
        from streamq.admin.overview import overview

        return await overview(self._server, self._lease)

    async def doctor(self, stream: str | None = None) -> Diagnosis:
        """Look for what bites: the server's settings, the user's rights, streams and groups.

        It changes nothing, and asks in bounded steps. What the server refuses to tell is noted
        as not checked.

        Args:
            stream: look at this stream only, not at all there are.

        Raises:
            ServerUnsupported: it is older than Redis 7.0 or Valkey 7.2.
        """
        from streamq.admin.doctor.diagnose import diagnose

        return await diagnose(self._server, self._lease, stream)

    def stream_names(self) -> AsyncIterator[str]:
        """The streams on the server, as they are found, in no order.

        Of a server with more than a million keys, not all are looked at.
        """
        from streamq.admin.overview import stream_names

        return stream_names(self._server)

    async def stream(self, stream: str) -> StreamInfo:
        """One stream, its groups, and which of them keeps its oldest entry."""
        from streamq.admin.streams import stream_info

        return await stream_info(self._server, stream, self._lease)

    async def groups(self, stream: str) -> Sequence[GroupInfo]:
        """How far each group of a stream has come, and what it holds."""
        return (await self.stream(stream)).groups

    async def group_names(self, stream: str, group: str | None = None) -> Sequence[str]:
        """The groups of a stream that streamq can work with, or one, if it exists."""
        from streamq.admin.existing import groups_meant

        return await groups_meant(self._server, stream, group)

    async def backlogs(self, groups: Mapping[str, Sequence[str]]) -> Backlogs:
        """How much every group of these streams has to do, in one round trip a stream.

        Args:
            groups: for each stream the groups that are reported even if they do not exist.
        """
        from streamq.admin.backlog import backlogs

        return await backlogs(self._server, groups, self._lease)

    async def snapshot(self, streams: Sequence[str] | None = None) -> Snapshot:
        """A picture of all streams and groups, or of the groups of some streams.

        It is much cheaper than :meth:`info`, and leaves out what takes a look at single jobs: of
        a consumer that is alive, no job counts as stalled.

        Args:
            streams: these, as far as they exist. ``None`` looks for all that the server has.

        Raises:
            ServerUnsupported: it is older than Redis 7.0 or Valkey 7.2.
        """
        from streamq.admin.snapshot import snapshot

        return await snapshot(self._server, self._lease, streams)

    def watch(
        self, streams: Sequence[str] | None = None, *, interval: float = 1.0
    ) -> AsyncIterator[Snapshot]:
        """Pictures one after the other, each with the rates since the one before.

        New streams are looked for every 15 seconds, and less often on a server with millions of
        keys. A server that cannot be reached raises, and ends it.

        Args:
            streams: these, as far as they exist. ``None`` looks for all that the server has.
            interval: seconds from one picture to the next. Who is slower than that gets fewer.

        Raises:
            ConfigError: ``interval`` is not more than 0.
        """
        from streamq.admin.snapshot import watch

        return watch(self._server, self._lease, streams, interval)

    async def create_group(self, stream: str, group: str, start: str | datetime = "0") -> bool:
        """Create a group, and the stream if it does not exist.

        Args:
            start: the group gets the entries after this ID; ``0`` for all that are in
                the stream, ``$`` for those still to come. Or those from a time on: an aware
                datetime, or a text as ``2026-11-01T00:00Z``.

        Returns:
            Whether it was created; ``False`` when it existed.

        Raises:
            WrongKeyType: the stream's key holds something else.
        """
        from streamq.admin.groups import create_group

        return await create_group(self._server, stream, group, start)

    async def delete_group(
        self, stream: str, group: str, *, force: bool = False, dead_letters: bool = False
    ) -> DeletedGroup:
        """Delete a group, with all that is queued and pending in it.

        The entries that only this group had kept go too; what another group has not
        settled stays. If it is the last group, all entries stay, queued for the next.

        Args:
            force: even if it has live consumers. These create it again, from the
                beginning of the stream.
            dead_letters: delete its dead letters as well.

        Raises:
            StillInUse: it has live consumers.
        """
        from streamq.admin.groups import delete_group

        return await delete_group(
            self._server, stream, group, self._lease, force=force, dead_letters=dead_letters,
            store=self._store,
        )  # fmt: skip

    async def pause(self, stream: str, group: str, *, type: str | None = None) -> bool:
        """Let a group begin no more jobs, or none of a type. Those that run go on.

        It takes effect on all workers within a second, and lasts until :meth:`resume`,
        whatever is restarted meanwhile.

        Args:
            type: only jobs of this type.

        Returns:
            Whether that is new; ``False`` when it was paused already.
        """
        from streamq.admin.control import pause

        return await pause(self._server, stream, group, type)

    async def resume(self, stream: str, group: str, *, type: str | None = None) -> bool:
        """Let a group go on, or a type in it; ``False`` when it was not paused."""
        from streamq.admin.control import resume

        return await resume(self._server, stream, group, type)

    async def group_state(self, stream: str, group: str) -> GroupState:
        """What an operator has set for a group: whether it is paused, and changed rules."""
        from streamq.admin.control import state_of_group

        return await state_of_group(self._server, stream, group)

    async def group_states(
        self, groups: Iterable[tuple[str, str]]
    ) -> Mapping[tuple[str, str], GroupState]:
        """The same of many groups at once, given as stream and group; they need not exist."""
        from streamq.admin.control import states_of_groups

        return await states_of_groups(self._server, groups)

    async def set_rules(self, stream: str, group: str, **rules: Any) -> GroupState:
        """Change rules of a group while it works, within a second and for all workers.

        Args:
            rules: by name, as :class:`~streamq.Group` takes them; ``None`` takes a rule away,
                ``"default"`` goes back to what the program declares.

        Returns:
            What is set now.

        Raises:
            ConfigError: there is no such rule, or it cannot be used.
        """
        from streamq.admin.control import set_rules

        return await set_rules(self._server, stream, group, rules)

    async def rewind_group(
        self, stream: str, group: str, to: str | datetime, *, force: bool = False,
        dry_run: bool = False,
    ) -> RewoundGroup:  # fmt: skip
        """Move a group back, so that it is given once more what the stream retains from there on.

        A pending job that comes after that place is queued again, so that it is given once;
        one before it stays pending.

        Args:
            to: the group goes on after this ID, or with the entries from this time on; as
                for :meth:`create_group`.
            force: even if consumers are alive, or jobs pending after that place. Who runs
                one of these cannot settle it.
            dry_run: change nothing, and tell how many entries it would be given.

        Raises:
            StillInUse: it has live consumers, or such pending jobs.
            ConfigError: the group has not come as far as that.
        """
        from streamq.admin.places import rewind_group

        return await rewind_group(
            self._server, stream, group, to, self._lease, force=force, dry_run=dry_run
        )

    async def prune(self, stream: str) -> int:
        """Delete the entries that every group has settled, and return how many.

        There are none, unless a deletion of a group was interrupted, or a group was
        deleted by other means.
        """
        from streamq.admin.groups import prune

        return await prune(self._server, stream, self._store)

    async def prune_data(self, stream: str) -> int:
        """Delete data beside a stream that no job and no dead letter has any more; how much.

        There is none, unless entries were deleted by other means (``XDEL``, ``XTRIM``). It looks
        at every key of the server, and at all entries, twice.
        """
        from streamq.admin.offloaded import prune_data

        return await prune_data(self._server, stream)

    # -- settings -------------------------------------------------------------

    async def settings(self, stream: str) -> StreamSettings:
        """What all workers of a stream agree on; the stream need not exist."""
        from streamq.admin.settings import read_settings

        return await read_settings(self._server, stream)

    async def set_stream(
        self, stream: str, *, retain: str | float | None = None,
        abandon_after: str | float | None = None, group: str | None = None,
    ) -> StreamSettings:  # fmt: skip
        """Change what all workers of a stream agree on; what is ``None`` stays as it is.

        Args:
            retain: for how long an entry that every group has settled is kept: seconds, or a
                text such as ``7d``. With 0 such entries go at once, those kept so far
                included.
            abandon_after: for how long a group without a live consumer keeps its entries,
                likewise; 0 for as long as it takes.
            group: ``abandon_after`` is for this group, not for all.

        Returns:
            The settings as they are now.
        """
        from streamq.admin.settings import change_settings

        changed = await change_settings(self._server, stream, retain, abandon_after, group)
        if retain is not None and changed.retain is None:
            try:
                await self.group_names(stream)
            except StreamNotFound:
                return changed
            await self.prune(stream)
        return changed


def _not_known(stream: str, group: str, type: str) -> None:
    return None
