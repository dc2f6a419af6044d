#!lua flags=allow-oom
-- Let a partition take only those keys that stay in it when there are more of them. From then on
-- no job of another key can come into it, and what it has of these comes before what the new
-- partitions get.
--
-- KEYS[1]   partition
-- KEYS[2]   settings of the partition
-- ARGV[1]   how many partitions there are to be
--
-- Returns the ID of the last entry that it was given before that.
--@include rights

local stream, settings, count = KEYS[1], KEYS[2], tonumber(ARGV[1])
local denied = not_permitted({
    { 'HGET', settings, 'a' }, { 'HSET', settings, 'a', 'b' }, { 'EXISTS', stream },
    { 'XINFO', 'STREAM', stream },
})
if denied then
    return denied
end
if tonumber(redis.call('HGET', settings, 'of') or 0) < count then
    local last = '0-0'
    if redis.call('EXISTS', stream) == 1 then
        local info = redis.call('XINFO', 'STREAM', stream)
        for i = 1, #info, 2 do
            if info[i] == 'last-generated-id' then
                last = info[i + 1]
            end
        end
    end
    redis.call('HSET', settings, 'of', ARGV[1], 'grown_at', last)
end
return redis.call('HGET', settings, 'grown_at') or '0-0'
