#!lua flags=allow-oom
-- Write the scheduled jobs whose time has come to their stream.
--
-- KEYS[1]   stream
-- KEYS[2]   scheduled set of the stream
-- KEYS[3]   scheduled jobs of the stream
-- KEYS[4]   schedules of the stream's periodic jobs
-- ARGV[1]   how many at most
--
-- Returns {ms until the next one is due, or -1 for none, how many were written,
--          the server's time in ms, version of the schedules, nil where there are none}.
--@include clock
--@include packed

local now, written = now_ms(), 0
for _, name in ipairs(redis.call('ZRANGE', KEYS[2], '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])) do
    local packed = redis.call('HGET', KEYS[3], name)
    local fields = packed and fields_of(packed)
    if fields then
        redis.call('XADD', KEYS[1], '*', unpack(fields))
        redis.call('HDEL', KEYS[3], name, name .. ':key')
        written = written + 1
    end
    redis.call('ZREM', KEYS[2], name)
end
local next_in = -1
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
if first[2] then
    next_in = math.max(tonumber(first[2]) - now, 0)
end
local version = redis.pcall('HGET', KEYS[4], 'version')
return { next_in, written, now, type(version) == 'string' and version }
