#!lua
-- Write an entry, unless one with the same idempotency key has been written lately.
--
-- KEYS[1]   stream
-- KEYS[2]   the idempotency key's string
-- KEYS[3]   scheduled set of the stream
-- ARGV[1]   how long the key is remembered, ms
-- ARGV[2..] field, value, ... of the entry
--
-- Returns {ID of the entry that the key stands for, 1 when this call wrote it, else 0,
--          when it is due if it is for later: Unix time in ms}.
--@include rights

local denied = not_permitted({
    { 'GET', KEYS[2] }, { 'SET', KEYS[2], 'a' }, { 'XADD', KEYS[1], '*', 'a', 'b' },
})
if denied then
    return denied
end

local known = redis.call('GET', KEYS[2])
if known then
    -- Written once more as it is: WAIT waits for what its own connection wrote last, and
    -- the first time may have been another one's.
    redis.call('SET', KEYS[2], known, 'KEEPTTL')
    return { known, 0, redis.call('ZSCORE', KEYS[3], known) }
end
local id = redis.call('XADD', KEYS[1], '*', unpack(ARGV, 2))
redis.call('SET', KEYS[2], id, 'PX', ARGV[1])
return { id, 1 }
