#!lua
-- Keep a job until its time comes. Done twice with the same name, it is done once.
--
-- KEYS[1]   scheduled set of the stream
-- KEYS[2]   scheduled jobs of the stream
-- KEYS[3]   the string that maps the schedule's name to the entry that it has become
-- KEYS[4]   the idempotency key's string; may be left out
-- ARGV[1]   'in' or 'at'
-- ARGV[2]   ms from now, or Unix time in ms
-- ARGV[3]   the schedule's name
-- ARGV[4]   how long the idempotency key is remembered after the due time, ms
-- ARGV[5]   the idempotency key, to be forgotten when the schedule is cancelled, or ''
-- ARGV[6..] field, value, ... of the entry
--
-- Returns {name of the schedule or ID of the entry that the job has or the key stands for,
--          1 when this call made it, 3 when it did when it was sent before, else 0,
--          when it is due: Unix time in ms, nil for what is in the stream already}.
--@include clock
--@include rights

local denied = not_permitted({
    { 'HGET', KEYS[2], 'a' }, { 'HSET', KEYS[2], 'a', 'b' }, { 'ZADD', KEYS[1], '0', 'a' },
    { 'GET', KEYS[3] }, { 'SET', KEYS[3], 'a' },
})
if denied then
    return denied
end

redis.call('ZCARD', KEYS[1]) -- says so when it is no set, before anything is written
-- What is known already is written once more as it is: WAIT waits for what its own
-- connection wrote last, and the first time may have been another one's.
local kept = redis.call('HGET', KEYS[2], ARGV[3])
if kept then
    redis.call('HSET', KEYS[2], ARGV[3], kept)
    return { ARGV[3], 3, redis.call('ZSCORE', KEYS[1], ARGV[3]) }
end
local entry = redis.call('GET', KEYS[3])
if entry then
    redis.call('SET', KEYS[3], entry, 'KEEPTTL')
    return { entry, 3, false }
end
local now, due = now_ms(), tonumber(ARGV[2])
if ARGV[1] == 'in' then
    due = now + due
end
if KEYS[4] then
    local known = redis.call('GET', KEYS[4])
    if known then
        redis.call('SET', KEYS[4], known, 'KEEPTTL')
        return { known, 0, redis.call('ZSCORE', KEYS[1], known) }
    end
    redis.call('SET', KEYS[4], ARGV[3], 'PX', math.max(due - now, 0) + tonumber(ARGV[4]))
end
redis.call('HSET', KEYS[2], ARGV[3], cmsgpack.pack({ unpack(ARGV, 6) }))
if ARGV[5] ~= '' then
    redis.call('HSET', KEYS[2], ARGV[3] .. ':key', ARGV[5])
end
redis.call('ZADD', KEYS[1], due, ARGV[3])
return { ARGV[3], 1, string.format('%.0f', due) }
