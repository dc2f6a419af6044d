#!lua flags=allow-oom
-- Note that a stream is to have more partitions; a stream without any gets its first ones. The
-- note stays until grow_end.lua, so that whoever finds it can go on where another has stopped.
--
-- KEYS[1]   stream, without partitions
-- KEYS[2]   settings of the stream
-- ARGV[1]   how many it has
-- ARGV[2]   how many it is to have
--
-- Returns {how many it has, how many it is to have: 0 when it does not grow}. They differ from
-- the arguments where others were first.
--@include rights

local stream, settings, count, target = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local denied = not_permitted({
    { 'HGET', settings, 'a' }, { 'HSET', settings, 'a', 'b' }, { 'EXISTS', stream },
    { 'XINFO', 'STREAM', stream },
})
if denied then
    return denied
end
local has = redis.call('HGET', settings, 'partitions') or '0'
local growing = redis.call('HGET', settings, 'growing')
if growing or has ~= count then
    return { tonumber(has), tonumber(growing or 0) }
end
if count == '0' and redis.call('EXISTS', stream) == 1 then
    -- What was written before it had partitions comes before what is written to these.
    local info = redis.call('XINFO', 'STREAM', stream)
    for i = 1, #info, 2 do
        if info[i] == 'last-generated-id' then
            redis.call('HSET', settings, 'grown_at', info[i + 1])
        end
    end
end
redis.call('HSET', settings, 'growing', target)
return { tonumber(has), tonumber(target) }
