#!lua flags=allow-oom
-- Note that a stream has more partitions from now on.
--
-- KEYS[1]   settings of the stream
-- ARGV[1]   how many
--
-- Returns 1, or 0 where that is known already.
--@include rights

local settings, count = KEYS[1], ARGV[1]
local denied = not_permitted({
    { 'HGET', settings, 'a' }, { 'HSET', settings, 'a', 'b' }, { 'HDEL', settings, 'a' },
})
if denied then
    return denied
end
if redis.call('HGET', settings, 'growing') ~= count then
    return 0
end
local before = redis.call('HGET', settings, 'partitions')
local plain = redis.call('HGET', settings, 'grown_at') and '0' or ''
local earlier = redis.call('HGET', settings, 'earlier') or plain
if before then
    earlier = earlier .. ' ' .. before
end
redis.call('HSET', settings, 'partitions', count, 'earlier', earlier)
redis.call('HDEL', settings, 'growing')
return 1
