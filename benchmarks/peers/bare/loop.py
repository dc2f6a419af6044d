"""What to compare with: one asyncio process, one server, and the commands of a stream queue.

No reconnection, no timeouts, no errors but fatal ones, no handlers, no settings: whatever a
queue does more than this costs time, and the difference is what it costs. Yet the loop is held
to what streamq promises for each job: it is acknowledged and deleted by one script, and only
while the pending entries list says that it is still this consumer's, at the delivery that it
was given.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

import hiredis
import orjson

STREAM = "bare"  # not that of any system that shares a server with it
GROUP = "bench"
CONSUMER = "bare"

Reply = Any

# The settling script is a fence and a body. Both fences define `deliveries(id)`, the delivery count
# of an entry that this consumer holds, or nil.
#
# KEYS[1] the stream; ARGV[1] the group, ARGV[2] the consumer, ARGV[3] how many jobs, ARGV[4] the
# time to live of a status in ms, ARGV[5] the time of finishing in ms; then a pair for each job
# (entry ID, delivery count), or with a status a five (and type, data, time of starting in ms).
# Returns how many were settled: the others are no longer ours.
HEADER = """
local stream, group, consumer, jobs = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local ttl, finished = ARGV[4], ARGV[5]
local width = (#ARGV - 5) / jobs
"""

FENCES = {
    # Asks for each entry: right for any set of entries.
    "entry": """
local function deliveries(id)
  local row = redis.call('XPENDING', stream, group, id, id, 1, consumer)[1]
  return row and row[4]
end
""",
    # Asks once for the range: right because this loop settles all that it holds, in order.
    "range": """
local rows = {}
for _, row in ipairs(redis.call('XPENDING', stream, group, ARGV[6], ARGV[#ARGV - width + 1], jobs,
    consumer)) do
  rows[row[1]] = row[4]
end
local function deliveries(id) return rows[id] end
""",
}

SETTLE = """
local settled = {}
for i = 6, #ARGV, width do
  if deliveries(ARGV[i]) == tonumber(ARGV[i + 1]) then
    settled[#settled + 1] = ARGV[i]
  end
end
"""

SETTLE_WITH_STATUS = """
local prefix = '{' .. stream .. '}:group:' .. group .. ':job:'
local settled = {}
for i = 6, #ARGV, width do
  if deliveries(ARGV[i]) == tonumber(ARGV[i + 1]) then
    settled[#settled + 1] = ARGV[i]
    local key = prefix .. ARGV[i]
    redis.call('HSET', key, 'state', 'succeeded', 'type', ARGV[i + 2], 'data', ARGV[i + 3],
      'attempts', ARGV[i + 1], 'started_at', ARGV[i + 4], 'finished_at', finished)
    redis.call('PEXPIRE', key, ttl)
  end
end
"""

FOOTER = """
if #settled > 0 then
  redis.call('XACK', stream, group, unpack(settled))
  redis.call('XDEL', stream, unpack(settled))
end
return #settled
"""

STATUS_TTL_MS = 300_000


class Connection(asyncio.Protocol):
    """A connection that answers commands with futures, in order, and batches nothing."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader()
        self._waiting: deque[asyncio.Future[Reply]] = deque()
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(cls, url: str) -> "Connection":
        parts = urlsplit(url)
        loop = asyncio.get_running_loop()
        if parts.scheme == "unix":
            _, protocol = await loop.create_unix_connection(cls, parts.path)
        else:
            host, port = parts.hostname or "127.0.0.1", parts.port or 6379
            _, protocol = await loop.create_connection(cls, host, port)
        return protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            future = self._waiting.popleft()
            if isinstance(reply, hiredis.ReplyError):
                future.set_exception(reply)
            else:
                future.set_result(reply)

    def connection_lost(self, error: Exception | None) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_exception(error or ConnectionResetError("the server went away"))

    def send(self, *command: str | bytes | int) -> asyncio.Future[Reply]:
        future = self._loop.create_future()
        self._waiting.append(future)
        self._transport.write(pack(*command))
        return future

    def pipeline(self, commands: Sequence[bytes]) -> asyncio.Future[Reply]:
        """Send packed commands in one write; the future is that of the last one."""
        for _ in commands:
            future = self._loop.create_future()
            self._waiting.append(future)
        self._transport.write(b"".join(commands))
        return future


def pack(*command: str | bytes | int) -> bytes:
    # hiredis takes any number of them; its annotation says one.
    packed: bytes = hiredis.pack_command(cast("Any", command))
    return packed


async def create_group(connection: Connection) -> None:
    try:
        await connection.send("XGROUP", "CREATE", STREAM, GROUP, "0", "MKSTREAM")
    except hiredis.ReplyError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise


async def produce(connection: Connection, jobs: Sequence[Any], batch: int) -> None:
    """XADD all, in pipelines of `batch`, with two of them under way."""
    before: asyncio.Future[Reply] | None = None
    for start in range(0, len(jobs), batch):
        commands = [
            pack("XADD", STREAM, "*", "type", "job", "data", orjson.dumps(job))
            for job in jobs[start : start + batch]
        ]
        now = connection.pipeline(commands)
        if before is not None:
            await before
        before = now
    if before is not None:
        await before


async def produce_one(connection: Connection, job: Any) -> None:
    await connection.send("XADD", STREAM, "*", "type", "job", "data", orjson.dumps(job))


async def consume(
    connection: Connection,
    handle: Callable[[Any], None],
    clock_ms: Callable[[], int],
    *,
    count: int,
    ahead: bool,
    fence: str,
    status: bool,
) -> None:
    """Read, decode, handle and settle batch by batch, for ever.

    `count` is the size of a read. With `ahead`, the server always has work: the next read is
    under way while a batch is handled, and its settling while the next one is. Without, each
    step waits for the one before.
    """
    await create_group(connection)
    body = SETTLE_WITH_STATUS if status else SETTLE
    script = await connection.send("SCRIPT", "LOAD", HEADER + FENCES[fence] + body + FOOTER)
    evalsha = ("EVALSHA", script, 1, STREAM, GROUP, CONSUMER)
    read = ("XREADGROUP", "GROUP", GROUP, CONSUMER, "COUNT", count)
    read_now = pack(*read, "STREAMS", STREAM, ">")
    read_blocking = pack(*read, "BLOCK", 1000, "STREAMS", STREAM, ">")

    def settle(entries: Any, started: int) -> asyncio.Future[Reply]:
        verdicts: list[Any] = [len(entries), STATUS_TTL_MS, clock_ms()]
        if status:
            for entry_id, fields in entries:
                verdicts += (entry_id, 1, fields[1], fields[3], started)
        else:
            for entry_id, _ in entries:
                verdicts += (entry_id, 1)
        return connection.send(*evalsha, *verdicts)

    settling: deque[tuple[asyncio.Future[Reply], int]] = deque()

    async def wait_for_settling(under_way: int) -> None:
        while len(settling) > under_way:
            future, expected = settling.popleft()
            check(await future, expected)

    reading = connection.pipeline([read_blocking])
    while True:
        reply = await reading
        if reply is None:
            # Only now may a read block: what is behind it on this connection waits with it.
            await wait_for_settling(0)
            reading = connection.pipeline([read_blocking])
            continue
        entries = reply[0][1]
        if ahead:
            reading = connection.pipeline([read_now])
        started = clock_ms()
        for _, fields in entries:
            handle(orjson.loads(fields[3]))
        settling.append((settle(entries, started), len(entries)))
        await wait_for_settling(1 if ahead else 0)
        if not ahead:
            reading = connection.pipeline([read_blocking])


def check(settled: int, expected: int) -> None:
    if settled != expected:
        raise RuntimeError(f"{expected - settled} of {expected} jobs were no longer ours")
